"""How body part and description say that a CT is of the chest."""

CHEST_WORDS = (
    "chest",
    "thora",
    "torax|tórax",
    "toraks",
    "lung",
    "longen",
    "pulm",
    "polmon",
    "poumon",
    "brust",
    "bröst",
    "covid",
    "hrct",
    "грудн",
    "легк|лёгк",
    "胸",
    "肺",
    "흉부",
    "צדר|חזה",
    "صدر|رئة",
)
"""English, German, Dutch, French, Italian, Spanish, Portuguese, Turkish and Polish, Swedish, Russian, Chinese and Japanese,
Korean, Hebrew, Arabic. CHEST, THORAX and LUNG are the Body Part Examined of PS3.16 annex L; "thora" also is in THORACIC SPINE,
whose CT shows lungs too."""
