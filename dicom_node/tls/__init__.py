"""TLS by the BCP 195 profile of DICOM (PS3.15 B.12): certificates, and what both ends of a connection demand."""
