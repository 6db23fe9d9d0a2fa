//! The time, in the forms that Kubernetes and k3s print.

use jiff::{SignedDuration, Timestamp};

/// Returns now as RFC 3339 in whole seconds, as Kubernetes' `metav1.Time` is written.
pub fn now() -> String {
    rfc3339(Timestamp::now())
}

/// Returns now as RFC 3339 in microseconds, as Kubernetes' `metav1.MicroTime` is written.
pub fn now_micro() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Writes `time` as RFC 3339 in whole seconds.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns the seconds since 1970.
pub fn unix() -> i64 {
    Timestamp::now().as_second()
}

/// Returns the time by which certificates are made and judged.
pub fn of_certificates() -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(crate::settings::clock_ahead())
}

/// Returns the whole seconds since the RFC 3339 time `then`; none where it is no such time.
pub fn seconds_since(then: &str) -> Option<i64> {
    let then: Timestamp = then.parse().ok()?;
    Some(Timestamp::now().duration_since(then).as_secs())
}

/// Reads a Go duration such as `1h30m`, `40s` or `24h0m0s`.
pub fn go_duration(text: &str) -> Option<SignedDuration> {
    text.parse::<SignedDuration>().ok()
}

/// Writes an age as `kubectl get` does: the largest unit, two at small values.
pub fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        ..0 => "<invalid>".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        172_800..691_200 if hours % 24 != 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        let said: Vec<String> =
            [5, 119, 130, 180, 700, 7300, 11_000, 90_000, 864_000].map(age).into();
        assert_eq!(said, ["5s", "119s", "2m10s", "3m", "11m", "121m", "3h3m", "25h", "10d"]);
    }

    #[test]
    fn go_durations_are_read() {
        assert_eq!(go_duration("24h0m0s").map(|span| span.as_secs()), Some(86_400));
        assert_eq!(go_duration("40s").map(|span| span.as_secs()), Some(40));
        assert!(go_duration("soon").is_none());
    }
}
