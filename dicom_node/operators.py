"""Who gives a command, as the operating system knows them."""

import os
import pwd


def operator_name() -> str:
    """Login name of the person at the keyboard, also where they became another user by sudo."""
    behind_sudo = os.environ.get("SUDO_USER", "")
    if behind_sudo:
        return behind_sudo
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
