//! The numbers of `docs/sync.md` are those of the code.

#[cfg(test)]
mod tests {
    use bindery::proto::resource::hash;
    use bindery::proto::v1;
    use bindery::sync::partial::{MAX_NAMES, MAX_WANTED};
    use bindery::sync::protocol::{CHUNK, HEARTBEAT, MAX_MESSAGE, MAX_RESOURCES, MAX_UPDATE};
    use prost::Message as _;
    use v1::resource::Resource as R;

    const PAGE: &str = include_str!("../docs/sync.md");

    fn hex(bytes: &[u8], between: &str) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
    }

    #[test]
    fn the_example_of_the_digest_is_right() {
        let group = R::Group(v1::Group { name: "staff".into(), ..Default::default() });
        let user = R::User(v1::User { username: "ada".into(), ..Default::default() });
        let mut total = 0_u128;
        for (name, resource) in [("group `staff`", group), ("user `ada`", user)] {
            let bytes = v1::Resource { resource: Some(resource) }.encode_to_vec();
            let sum = hash(&bytes);
            let row = format!("| {name} | `{}` | `{}` |", hex(&bytes, " "), hex(&sum.to_le_bytes(), ""));
            assert!(PAGE.contains(&row), "{row}");
            total = total.wrapping_add(sum);
        }
        let row = format!("| both | | sum: `{}` |", hex(&total.to_le_bytes(), ""));
        assert!(PAGE.contains(&row), "{row}");
    }

    #[test]
    fn the_limits_are_those_of_the_code() {
        let thousands = |number: u64| {
            let digits = number.to_string();
            let mut out = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    out.push(',');
                }
                out.push(digit);
            }
            out
        };
        for row in [
            format!("| a message | {} MiB |", MAX_MESSAGE >> 20),
            format!("| resources and removals of one update | {} |", thousands(MAX_RESOURCES)),
            format!("| bytes of one update | {} GiB |", MAX_UPDATE >> 30),
            format!("| names in one subscription | {} |", thousands(MAX_NAMES as u64)),
            format!("| targets and users that one follower may want | {} |", thousands(MAX_WANTED as u64)),
            format!("about {} KiB", CHUNK >> 10),
            format!("every {} s by default", HEARTBEAT.as_secs()),
        ] {
            assert!(PAGE.contains(&row), "{row}");
        }
    }

    #[test]
    fn every_setting_of_the_server_is_in_its_table() {
        let settings = include_str!("../docs/configuration.md");
        for command in ["serve", "hub"] {
            let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_bindery"));
            let help = program.args([command, "--help"]).output().unwrap();
            let help = String::from_utf8(help.stdout).unwrap();
            let flags: Vec<&str> = help
                .lines()
                .filter_map(|line| {
                    line.trim_start().strip_prefix("--").or(line.trim_start().strip_prefix("-h, --"))
                })
                .map(|flag| flag.split([' ', '[', '=']).next().unwrap_or(flag))
                .filter(|flag| !["help", "no-color"].contains(flag))
                .collect();
            assert!(flags.len() > 30, "{help}");
            for flag in flags {
                assert!(settings.contains(&format!("`--{flag}")), "--{flag}");
            }
        }
    }

    #[test]
    fn every_reason_of_a_refusal_is_there() {
        use v1::NackReason as N;
        for reason in [N::Invalid, N::TooLarge, N::Corrupt, N::Old, N::Storage] {
            let name = reason.as_str_name().trim_start_matches("NACK_REASON_");
            assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
        }
        assert!(N::try_from(6).is_err(), "there is a reason that the page does not have");
    }
}
