"""A study whose images name two patients: Jane, and John under her Study Instance UID."""

from builders.index import received
from storage.records import PatientKey, ReceivedInstance

JOHN = PatientKey(patient_id="0815", issuer="CITY")


def johns(number: int = 2, **changes: object) -> ReceivedInstance:
    """An instance of John's under Jane's Study Instance UID."""
    said = {"patient": JOHN, "patient_name": "Doe^John", "birth_date": "19600102", "sex": "M"}
    described = {"accession_number": "J1", "study_description": "Thorax", "content": "of John"}
    return received(number=number, **(said | described | changes))
