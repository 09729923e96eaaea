"""Commands for the control machine, as programs of a host name them."""

import os

# At the end of each, so that it is for the environment of this host
ENVIRONMENT = f" ENV={os.environ['PLATFORM_ENV']}" if "PLATFORM_ENV" in os.environ else ""
