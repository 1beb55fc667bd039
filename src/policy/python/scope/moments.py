# What `datetime` has in Python and not in the interpreter. A zone by its name gives a moment the offset of that moment.
import datetime as _dt

_utc = _dt.timezone.utc


class ZoneInfo:
    def __init__(self, key):
        self.key = key
        self.zone = key
        _host('zone', key, 0)

    def __str__(self):
        return self.key

    def __repr__(self):
        return "zoneinfo.ZoneInfo(key='" + self.key + "')"


# Counted from a moment of that zone, since the interpreter counts right and converts nothing.
def _in_zone(moment, zone):
    if isinstance(zone, ZoneInfo):
        zone = _dt.timezone(_dt.timedelta(seconds=_host('zone', zone.key, int(moment.timestamp()))), zone.key)
    start = _dt.datetime(1970, 1, 1, tzinfo=_utc if zone is None else zone)
    return start + (moment - start)


def _astimezone(moment, tz=None):
    if type(moment) is not _dt.datetime:
        return moment.astimezone(tz)
    return _in_zone(moment.replace(tzinfo=_utc) if moment.tzinfo is None else moment, tz)


def _utcoffset(moment):
    if type(moment) is not _dt.datetime:
        return moment.utcoffset()
    return None if moment.tzinfo is None else moment.replace(tzinfo=_utc) - moment


def _now_in(kind, tz=None):
    return _in_zone(_dt.datetime.now(_utc), tz) if isinstance(tz, ZoneInfo) else kind.now(tz)


def _fromtimestamp(kind, seconds, tz=None):
    if kind is not _dt.datetime and kind is not _dt.date:
        return kind.fromtimestamp(seconds, tz)
    whole = int(seconds // 1)
    part = int((seconds - whole) * 1000000 + 0.5)
    moment = _dt.datetime(1970, 1, 1, tzinfo=_utc) + _dt.timedelta(seconds=whole, microseconds=part)
    if kind is _dt.date:
        return moment.date()
    return moment.replace(tzinfo=None) if tz is None else _in_zone(moment, tz)


def _combine(kind, date, time=None, tzinfo=None):
    if kind is not _dt.datetime:
        return kind.combine(date) if time is None else kind.combine(date, time)
    return _dt.datetime(date.year, date.month, date.day, time.hour, time.minute, time.second, time.microsecond,
                        tzinfo=time.tzinfo if tzinfo is None else tzinfo)


def _isocalendar(moment):
    if type(moment) is not _dt.datetime and type(moment) is not _dt.date:
        return moment.isocalendar()
    day = _dt.date(moment.year, moment.month, moment.day)
    thursday = day + _dt.timedelta(days=4 - day.isoweekday())
    return (thursday.year, (thursday - _dt.date(thursday.year, 1, 1)).days // 7 + 1, day.isoweekday())


_zones = _Thing({'ZoneInfo': ZoneInfo, 'timezone': ZoneInfo, 'utc': _utc, 'UTC': _utc})
