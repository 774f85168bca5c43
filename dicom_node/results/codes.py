"""Every code that results use, with where it comes from.

CID and TID are those of PS3.16. Codes of `99DICOMNODE` are this project's own: for them neither PS3.16 nor SNOMED CT,
LOINC or RadLex has a concept with that meaning.
"""

from typing import Final

from pydicom.sr.coding import Code

from pipeline.findings import Change, LesionKind, Side, Stage

OWN_SCHEME: Final = "99DICOMNODE"
"""Private designators begin with 99 (PS3.16 8.2)."""
OWN_SCHEME_NAME: Final = "Codes of dicom-node"

# Segments: categories CID 7150, lung CID 7151, laterality CID 244.
ANATOMICAL_STRUCTURE: Final = Code("91723000", "SCT", "Anatomical Structure")
MORPHOLOGICALLY_ABNORMAL: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LUNG: Final = Code("39607008", "SCT", "Lung")
BILATERAL: Final = Code("51440002", "SCT", "Bilateral")
SIDE: Final = {Side.RIGHT: Code("24028007", "SCT", "Right"), Side.LEFT: Code("7771000", "SCT", "Left")}

# Findings: ground glass CID 6104, abnormal opacity CID 6101; consolidation is SNOMED CT, in no CID.
LESION_KIND: Final = {
    LesionKind.GROUND_GLASS: Code("112120", "DCM", "Ground glass opacity"),
    LesionKind.CONSOLIDATION: Code("95436008", "SCT", "Lung consolidation"),
}
ABNORMAL_OPACITY: Final = Code("112033", "DCM", "Abnormal opacity")

# Algorithm family CID 7162.
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")

# The report: title CID 7021, procedure CID 100 (it has no chest CT), observer TID 1002.
CT_UNSPECIFIED_REGION: Final = Code("25045-6", "LN", "CT unspecified body region")
DEVICE: Final = Code("121007", "DCM", "Device")

# Title of the report for people (CID 7020) and of key objects (CID 7010).
IMAGING_REPORT: Final = Code("18748-4", "LN", "Diagnostic imaging report")
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")

# Units: UCUM; volume CID 7462 (cm3, not mL); ranges as in TID 4127. Viewers show the code, so a bare 1 would look odd.
CUBIC_CENTIMETER: Final = Code("cm3", "UCUM", "cubic centimeter")
HOUNSFIELD_UNIT: Final = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT: Final = Code("%", "UCUM", "percent")
ZERO_TO_ONE: Final = Code("{0:1}", "UCUM", "range: 0:1")
LESIONS: Final = Code("{lesions}", "UCUM", "lesions")
DAY: Final = Code("d", "UCUM", "day")

# Numbers with a standard name: volume CID 7469, attenuation CID 6141; pre-coordinated, as viewers show no derivation.
VOLUME: Final = Code("118565006", "SCT", "Volume")
MEAN_ATTENUATION: Final = Code("112181", "DCM", "Mean Attenuation Coefficient")
SD_ATTENUATION: Final = Code("112183", "DCM", "Standard Deviation of Attenuation Coefficient")

# Numbers of our own.
SHARE_OF_LUNG: Final = Code("DN101", OWN_SCHEME, "Percentage of volume of that lung")
INVOLVEMENT: Final = Code("DN102", OWN_SCHEME, "Percentage of lung volume involved")
LESION_VOLUME: Final = Code("DN103", OWN_SCHEME, "Total lesion volume")
LESION_SCORE: Final = Code("DN104", OWN_SCHEME, "Lesion score, not calibrated")
PATIENT_SCORE: Final = Code("DN105", OWN_SCHEME, "Patient score, not calibrated")
PRIOR_VOLUME: Final = Code("DN106", OWN_SCHEME, "Volume in prior study")
VOLUME_CHANGE: Final = Code("DN107", OWN_SCHEME, "Change in volume since prior study")
RELATIVE_VOLUME_CHANGE: Final = Code("DN108", OWN_SCHEME, "Relative change in volume since prior study")
INTERVAL: Final = Code("DN109", OWN_SCHEME, "Interval since that study")
LESION_COUNT: Final = Code("DN110", OWN_SCHEME, "Number of lesions")
PATIENT_PROBABILITY: Final = Code("DN111", OWN_SCHEME, "Patient score, calibrated on other cases")
LUNG_INVOLVEMENT: Final = {
    Side.RIGHT: Code("DN112", OWN_SCHEME, "Percentage of right lung involved"),
    Side.LEFT: Code("DN113", OWN_SCHEME, "Percentage of left lung involved"),
}

# Change: the name is of DCM (Annex D), sizes and "no significant changes" are CID 6134, "new finding" is CID 6002.
QUALITATIVE_DIFFERENCE: Final = Code("111049", "DCM", "Qualitative Difference")
CHANGE: Final = {
    Change.NEW: Code("129721008", "SCT", "New finding"),
    Change.GROWN: Code("15454001", "SCT", "Increase in size"),
    Change.STABLE: Code("129723006", "SCT", "No significant changes in the finding"),
    Change.SHRUNK: Code("19776001", "SCT", "Decrease in size"),
    Change.GONE: Code("DN201", OWN_SCHEME, "No longer seen"),
    Change.NOT_COMPARED: Code("DN202", OWN_SCHEME, "Not compared with a prior study"),
}

# Stage: Pan et al., Time Course of Lung Changes at Chest CT during Recovery from COVID-19, Radiology 2020; 295:715-721.
DISEASE_STAGE: Final = Code("DN301", OWN_SCHEME, "Stage of disease on CT (Pan 2020)")
STAGE: Final = {
    Stage.NO_LESION: Code("DN302", OWN_SCHEME, "No lesion found"),
    Stage.EARLY: Code("DN303", OWN_SCHEME, "Early stage"),
    Stage.ADVANCED: Code("DN304", OWN_SCHEME, "Advanced (progressive) stage"),
    Stage.SEVERE: Code("DN305", OWN_SCHEME, "Severe (peak) stage"),
    Stage.ABSORPTION: Code("DN306", OWN_SCHEME, "Absorption stage"),
    Stage.INDETERMINATE: Code("DN307", OWN_SCHEME, "Stage cannot be told"),
}

# Decision: values are CID 250.
DECISION: Final = Code("DN308", OWN_SCHEME, "Patient score at default operating point")
POSITIVE: Final = Code("10828004", "SCT", "Positive")
NEGATIVE: Final = Code("260385009", "SCT", "Negative")

# Time point: CID 6146, which has no follow-up.
BASELINE: Final = Code("C1442488", "UMLS", "Baseline")
FOLLOW_UP: Final = Code("DN501", OWN_SCHEME, "Follow-up")

TIME_POINT_ORDER: Final = Code("126073", "DCM", "Time Point Order")
NO_UNITS: Final = Code("1", "UCUM", "no units")

# Equipment: CID 7005.
PROCESSING_EQUIPMENT: Final = Code("109102", "DCM", "Processing Equipment")

# Text report: title CID 7000, headings CID 7001, elements CID 7002.
CT_CHEST_REPORT: Final = Code("24627-2", "LN", "CT Chest Report")
CONCLUSIONS: Final = Code("55110-1", "LN", "Conclusions")
FINDINGS: Final = Code("59776-5", "LN", "Findings")
CURRENT_PROCEDURE: Final = Code("55111-9", "LN", "Current Procedure Descriptions")
PROCEDURE_DESCRIPTION: Final = Code("121065", "DCM", "Procedure Description")
CONCLUSION: Final = Code("121077", "DCM", "Conclusion")
PRIOR_PROCEDURE: Final = Code("DN413", OWN_SCHEME, "Comparison study")
KEY_IMAGE: Final = Code("121080", "DCM", "Best illustration of finding")
LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH: Final = Code("en-US", "RFC5646", "English (United States)")
PROCEDURE_REPORTED: Final = Code("121058", "DCM", "Procedure reported")

# Sections below the measurements: qualitative evaluations TID 1500; headings CID 7001; UIDs TID 1005, CID 10001.
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
PRIOR_PROCEDURES: Final = Code("55114-3", "LN", "Prior Procedure Descriptions")
PREVIOUS_FINDINGS: Final = Code("18834-2", "LN", "Previous Findings")
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
PREVIOUS_FINDING: Final = Code("121069", "DCM", "Previous Finding")
FINDING: Final = Code("121071", "DCM", "Finding")
COMMENT: Final = Code("121106", "DCM", "Comment")
STUDY_INSTANCE_UID: Final = Code("121018", "DCM", "Procedure Study Instance UID")
SERIES_INSTANCE_UID: Final = Code("112002", "DCM", "Series Instance UID")
STUDY_DATE: Final = Code("111060", "DCM", "Study Date")
TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
LATERALITY: Final = Code("272741003", "SCT", "Laterality")
INTENDED_USE: Final = Code("DN401", OWN_SCHEME, "Intended use")
LIMITATION: Final = Code("DN402", OWN_SCHEME, "Limitation of this analysis")
SERIES_ANALYSED: Final = Code("DN403", OWN_SCHEME, "Series analysed")
USED_PRIOR: Final = Code("DN404", OWN_SCHEME, "Comparison study used")
DROPPED_PRIOR: Final = Code("DN405", OWN_SCHEME, "Comparison study not used")
REASON: Final = Code("DN406", OWN_SCHEME, "Reason")
COMPARED_STUDY: Final = Code("DN408", OWN_SCHEME, "Prior study compared with")
COMPARED_WITH: Final = Code("DN409", OWN_SCHEME, "Compared with")
SEARCHED: Final = Code("DN410", OWN_SCHEME, "Where lesions were looked for")
SCORE_MEANING: Final = Code("DN411", OWN_SCHEME, "Meaning of the patient score")
OPERATING_POINT: Final = Code("DN412", OWN_SCHEME, "Operating point of the patient score")
LUNG_OVERLAP: Final = Code("DN407", OWN_SCHEME, "Overlap of lungs after alignment (Dice)")
