"""Time zones as the server knows them: of the locked package, as Prefect lists all of them for every schedule it reads.

From the package that is one file; from the system hundreds, which take longer than the rest of the schedule.
"""

import zoneinfo

zoneinfo.reset_tzpath(to=())
names = zoneinfo.available_timezones
