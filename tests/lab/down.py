"""Remove every lab that was left up: python -m tests.lab.down"""

from tests.lab.cluster import down, require_root

if __name__ == "__main__":
    require_root()
    removed = down()
    print(f"Removed: {', '.join(removed)}." if removed else "No lab is up.")
