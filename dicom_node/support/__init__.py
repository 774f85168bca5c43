"""The support bundle: what whoever helps needs to see, and nothing about a patient."""
