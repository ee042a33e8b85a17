"""What desktops and file systems leave in folders, and copies of folders take along: no objects of anybody's."""

STARTS = ("._", ".nfs", ".fuse_hidden")
NAMES = frozenset({".DS_Store", ".directory", ".localized", ".snapshot", "Thumbs.db", "desktop.ini", "lost+found"})


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name was made by none of the lake's programs or users."""
    return name in NAMES or name.startswith(STARTS)
