#!/bin/sh
# The batch scripts of docs/cluster.md under a real SLURM: a controller and two nodes, all of them
# this machine, in a folder of their own. It installs nothing and needs root, as slurmd does.
# ARGS of `make test-slurm` choose: one, several, array.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "test-slurm: must run as root, as slurmd does" >&2; exit 2; }
for program in munged slurmctld slurmd sbatch; do
    command -v "$program" >/dev/null || {
        echo "test-slurm: $program is missing; on Debian: apt install slurm-wlm munge" >&2
        exit 2
    }
done

place=$(mktemp -d /tmp/slurm-XXXXXX)
chmod 755 "$place" # munged wants no folder above its socket that others may write to
pids=
finish() {
    # shellcheck disable=SC2086  # several processes
    kill $pids 2>/dev/null || true
    wait
    rm -rf "$place"
}
trap finish EXIT
trap 'exit 130' INT TERM

start() { # a daemon in the foreground, its words in a file
    name=$1
    shift
    "$@" >"$place/$name.log" 2>&1 </dev/null &
    pids="$pids $!"
}

host=$(hostname)
mkdir "$place/state"
head -c 1024 /dev/urandom >"$place/key"
chmod 400 "$place/key"
cat >"$place/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURM_TEST_PORT:-16817}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$place/socket,cred_expire=5
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool-%n
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
MpiDefault=none
ReturnToService=2
KillWait=20
SchedulerParameters=batch_sched_delay=0,sched_interval=2
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=16818 CPUs=2 Gres=gpu:1
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.2 Port=16819 CPUs=2 Gres=gpu:1
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
echo "NodeName=n[1-2] Name=gpu File=/dev/null" >"$place/gres.conf" # a pretended card
export SLURM_CONF="$place/slurm.conf"

start munged munged --force --foreground --socket="$place/socket" --key-file="$place/key" \
    --log-file="$place/munged.log" --pid-file="$place/munged.pid" --seed-file="$place/seed"
start slurmctld slurmctld -D
start n1 slurmd -D -N n1
start n2 slurmd -D -N n2
seconds=0
until sinfo -h -o %T 2>/dev/null | grep -qx idle; do
    seconds=$((seconds + 1))
    [ "$seconds" -lt 60 ] || { tail -n 5 "$place"/*.log >&2; exit 1; }
    sleep 1
done
export PYTHON="${PYTHON:-.venv/bin/python}"
"$PYTHON" -m tests.support.slurm "$@"
