"""What tests of properties are tried on."""

from hypothesis import strategies as st

NAMES = st.text("abc", min_size=1, max_size=2)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)

CRONS = st.sampled_from(["0 1 * * *", "0 2 * * *", "*/5 * * * *"])
SCHEDULES = st.lists(
    st.fixed_dictionaries(
        {
            "schedule": st.fixed_dictionaries({"cron": CRONS}, optional={"timezone": st.just("Europe/Paris")})
            | st.fixed_dictionaries({"interval": st.sampled_from([60, 900])})
        },
        optional={
            "slug": st.sampled_from(["one", "two", "three"]),
            "active": st.booleans(),
            "parameters": st.dictionaries(st.just("day"), st.none() | st.integers(0, 3), max_size=1),
        },
    ),
    max_size=4,
    unique_by=lambda schedule: schedule.get("slug") or id(schedule),
)
