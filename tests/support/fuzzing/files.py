"""YAML files with mistakes: spaces, recipes, and exported files."""

import copy
from typing import Literal, get_args, get_origin

import yaml

from regmix import registry
from regmix.config import TASK, options_of
from regmix.errors import InputError
from regmix.ranges import check, kind_of
from tests.support.fuzzing.values import flipped, junk, word

COMPONENTS = {"data": "digits", "model": "small_cnn", "attack": "fgsm", "loss": "regmix"}
RECIPE = {
    "trainings": 2, "data": "digits", "valid_images": 100, "train_images": 200,
    "model": "small_cnn", "width": 8, "attack": "fgsm", "eval_epsilon": 0.25, "epochs": 2,
    "batch_size": 32, "lr": 0.2,
    "losses": {"regmix": {"alpha": 1.0, "beta": 0.3, "gamma": 0.3}, "mse": {"mse_weight": 1.0}},
}  # fmt: skip


def text(content):
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def write(chance, path, content, mistakes):
    """Write a YAML file; each mistake is one in the text."""
    written = text(content)
    for _ in range(mistakes):
        written = flipped(chance, written)
    kind = chance.randrange(40) if mistakes else 99
    encoding = {0: "utf-16", 1: "latin-1", 2: "utf-32"}.get(kind, "utf-8")
    known = {3: "\ufeff" + written, 4: written.replace("\n", "\r\n"), 5: written * 2, 6: "",
             7: written + "---\n" + written, 8: "a: " + "[" * 400 + "]" * 400, 9: "{a: " * 3000,
             10: "&a [" + "*a, " * 50 + "]", 11: bomb(), 12: "#" * 2_000_000,
             13: "a: 1\n" * 100_000,
             14: "".join(f"n{n}: {{float: [0, 1]}}\n" for n in range(30_000))}  # fmt: skip
    path.write_bytes(known.get(kind, written).encode(encoding, "replace"))
    return path


def bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join(lines) + "\nloss: *a8\n"


def changed(chance, content, times):
    """Return a copy in which so many values are changed, gone, added or renamed."""
    content = copy.deepcopy(content)
    for _ in range(times):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.7:
                place = place[key]
                continue
            kind = chance.randrange(10)
            if kind == 0:
                del place[key]
            elif kind == 1 and isinstance(place, dict):
                place[flipped(chance, str(key))] = place.pop(key)
            elif kind == 2 and isinstance(place, dict):
                place[chance.choice([word(chance), 1, None, True, 1.5])] = junk(chance)
            else:
                place[key] = _near(chance, place[key])
            break
    return content


def _near(chance, value):
    """Return another value, of its own type or of any."""
    if chance.random() < 0.5 or not isinstance(value, int | float | str):
        return junk(chance)
    if isinstance(value, int | float):
        return chance.choice(
            [-value, value * 10, value / 7, str(value), [value], 10**9, value + 0.5]
        )
    return chance.choice([value + "x", value[1:], [value], 1, f" {value}"])


def space(chance):
    """Return a space that is mostly good."""
    content = {}
    if chance.random() < 0.5:
        losses = ["regmix", "regmix", *registry.names("loss")]
        content["loss"] = chance.choice(losses) if chance.random() < 0.97 else junk(chance)
    loss = content.get("loss", "regmix")
    if not isinstance(loss, str) or loss not in registry.names("loss"):
        loss = "regmix"
    known = options_of({**COMPONENTS, "loss": loss})
    free = {name: option for name, option in known.items() if name not in TASK}
    if chance.random() < 0.3:
        chosen = chance.sample(sorted(free), chance.randrange(3))
        content["fixed"] = {name: value(chance, free[name].annotation) for name in chosen}
    content["search"] = {}
    for _ in range(chance.choice([1, 1, 2, 2, 3, 5, 12])):
        name = chance.choice(sorted(free if chance.random() < 0.97 else known))
        content["search"][name] = rule(chance, known[name].annotation)
    if chance.random() < 0.1:
        kind = chance.choice(["model", "attack"])
        content["search"][kind] = {"choice": chance.sample(registry.names(kind), 2)}
    return content


GOOD = {
    float: [0.1, 0.5, 0.9, 1, 2, 0.25, "8/255", 1e-3, "1e-3", 5, 0, 1.0],
    int: [1, 2, 3, 8, 16, 32, "4", 64.0],
    bool: [True, False, "true"],
}


def value(chance, annotation):
    """Return a value of an option, mostly a good one."""
    if chance.random() < 0.05:
        return junk(chance)
    kind = kind_of(annotation)
    known = list(get_args(kind)) if get_origin(kind) is Literal else GOOD[kind]
    if chance.random() < 0.05:
        return chance.choice(known)
    return chance.choice([one for one in known if _takes(annotation, one)])


def _takes(annotation, value):
    try:
        check("here", "name", value, annotation)
    except InputError:
        return False
    return True


def _different(chance, annotation, values):
    """Return other values in place of those that come twice, where it finds any."""
    for place in range(1, len(values)):
        for _ in range(8):
            if values[place] not in values[:place]:
                break
            values[place] = value(chance, annotation)
    return values


def rule(chance, annotation):
    """Return a range of an option, mostly a good one."""
    if chance.random() < 0.04:
        return junk(chance)
    kind = kind_of(annotation)
    form = {
        float: ["float"] * 8 + ["int", "choice"],
        int: ["int"] * 6 + ["float", "choice", "choice"],
    }
    form = chance.choice(form.get(kind, ["choice"] * 9 + ["int"]))
    count = 2 if form != "choice" and chance.random() < 0.98 else chance.choice([2, 2, 3, 1])
    values = [value(chance, annotation) for _ in range(count)]
    if chance.random() < 0.9:
        values = _different(chance, annotation, values)
    if form != "choice" and all(isinstance(one, int | float) for one in values):
        values = sorted(values)
    found: dict[str, object] = {form: values}
    if chance.random() < 0.2 and form != "choice":
        found["log"] = True if chance.random() < 0.9 else junk(chance)
    return found
