"""One third-party library per file, imported when it is first needed."""

from .bitsandbytes_logs import hush

hush()  # before peft or transformers import bitsandbytes, which is when it complains
