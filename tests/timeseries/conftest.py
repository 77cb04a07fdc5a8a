import sys
from pathlib import Path

# The simulations that the tests here share.
sys.path.insert(0, str(Path(__file__).parent))
