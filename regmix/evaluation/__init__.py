"""How robust a model is, from an epoch's ensemble to AutoAttack, with signs of masking."""
