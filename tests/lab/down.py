"""Remove every lab that was left running: python -m tests.lab.down"""

from tests.lab.cluster import NONE_UP, down, require_root

if __name__ == "__main__":
    require_root()
    removed = down()
    print(f"Removed: {', '.join(removed)}." if removed else f"{NONE_UP}.")
