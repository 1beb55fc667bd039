//! `bindery attack`: requests as attackers send them, put to a server of Envoy's external authorization, or through a
//! gateway that asks one. Says which of them got where they must not.
//!
//! Must not know: how a server decides.

mod direct;
mod report;
mod requests;
mod scene;
mod through;

use super::address::ReachArgs;
use super::output::{Screen, one_line};
use super::{Exit, address, push};
use clap::{Args, ValueEnum};
use requests::Attack;
use scene::Scene;
use std::path::PathBuf;

/// What `bindery attack` takes.
#[derive(Args, Debug)]
#[command(after_help = "\
The server has to stand in the scene that --write-scene makes: a bundle, settings and keys. For bindery they are ready to
be served; another server is set up to mean the same (see SCENE.md there).

Examples:
  bindery attack --write-scene scene
  bindery serve --config scene/bindery.toml
  bindery attack --to 127.0.0.1:9191 --scene scene
  bindery attack --through 127.0.0.1:8080 --scene scene

Exit code: 0 every request met its end, 1 some did not, 2 the server cannot be attacked.")]
pub(super) struct AttackArgs {
    #[command(flatten)]
    reach: ReachArgs,

    /// Server of envoy.service.auth.v3.Authorization: http(s)://ADDRESS:PORT, or unix:PATH
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["through", "write_scene"])]
    to: Option<String>,

    /// Gateway that asks such a server, ADDRESS:PORT; requests are sent to it over HTTP/1.1
    #[arg(long, value_name = "ADDRESS", conflicts_with = "to")]
    through: Option<String>,

    /// Directory of the scene that the server stands in
    #[arg(long, value_name = "DIR", required_unless_present = "write_scene")]
    scene: Option<PathBuf>,

    /// Make a scene with new keys, and end
    #[arg(long, value_name = "DIR", conflicts_with_all = ["to", "through", "scene"])]
    write_scene: Option<PathBuf>,

    /// Compare reasons of denials with bindery's; `auto`: if the server gives any [default: auto]
    #[arg(long, value_enum, value_name = "WHEN")]
    reasons: Option<When>,

    /// How to show the result
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Output", default_value_t = super::diff::Format::Text)]
    output: super::diff::Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// If the server gives reasons as bindery does.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Whether it was let through.
    allowed: bool,
    /// The reason that was given, as bindery gives it.
    reason: Option<String>,
    /// What became of it in words.
    what: String,
    /// Headers of the request that went on, where that can be seen.
    went_on: Option<Vec<(String, String)>>,
}

/// A request and what became of it.
struct Outcome {
    name: String,
    seen: Seen,
    /// What should not have been.
    wrong: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &AttackArgs, screen: &mut Screen<'_>) -> Exit {
    if let Some(directory) = &args.write_scene {
        return match Scene::write(directory) {
            Ok(()) => {
                let shown = directory.display();
                screen.line(format_args!(
                    "the scene is in {shown}; serve it with --config {shown}/bindery.toml"
                ));
                Exit::Good
            }
            Err(error) => refuse(screen, &error),
        };
    }
    match attack(args, screen) {
        Ok(outcomes) => {
            screen.show_progress("");
            report::show(&outcomes, args.output, screen);
            if outcomes.iter().any(|outcome| outcome.wrong.is_some()) { Exit::Bad } else { Exit::Good }
        }
        Err(error) => {
            screen.show_progress("");
            refuse(screen, &error)
        }
    }
}

fn refuse(screen: &mut Screen<'_>, error: &str) -> Exit {
    screen.note(format_args!("no attack: {}", one_line(error)));
    Exit::Undecided
}

fn attack(args: &AttackArgs, screen: &mut Screen<'_>) -> Result<Vec<Outcome>, String> {
    let directory = args.scene.as_deref().ok_or("scene: missing; name the directory")?;
    let scene = Scene::read(directory)?;
    let attacks = requests::all(&scene)?;
    let runtime = push::runtime()?;
    let mut outcomes = Vec::new();
    runtime.block_on(async {
        match (&args.to, &args.through) {
            (Some(to), _) => {
                let mut server = direct::Server::connect(address::server(to, &args.reach)?).await?;
                for (index, attack) in attacks.iter().enumerate() {
                    screen.show_progress(format_args!("{} of {}", index + 1, attacks.len()));
                    for raw in [true, false] {
                        if !raw && !attack.fits_a_map() {
                            continue;
                        }
                        let seen = server.ask(attack, raw).await?;
                        outcomes.push(judge(
                            attack,
                            seen,
                            args.reasons,
                            if raw { "" } else { " (as a map)" },
                        ));
                    }
                }
                Ok(())
            }
            (None, Some(gateway)) => {
                let sent: Vec<&Attack> = attacks.iter().filter(|attack| !attack.direct).collect();
                for (index, attack) in sent.iter().enumerate() {
                    screen.show_progress(format_args!("{} of {}", index + 1, sent.len()));
                    let seen = through::send(gateway, attack).await?;
                    outcomes.push(judge(attack, seen, args.reasons, ""));
                }
                Ok(())
            }
            (None, None) => Err("to, through: neither is there; name a server or a gateway".to_owned()),
        }
    })?;
    Ok(outcomes)
}

fn judge(attack: &Attack, seen: Seen, reasons: Option<When>, form: &str) -> Outcome {
    let wrong = wrong(attack, &seen, reasons.unwrap_or(When::Auto));
    Outcome { name: format!("{}{form}", attack.name), seen, wrong }
}

/// What should not have been, if there is anything.
fn wrong(attack: &Attack, seen: &Seen, reasons: When) -> Option<String> {
    if seen.allowed != attack.allowed {
        let wanted = if attack.allowed { "allowed" } else { "denied" };
        return Some(format!("it must be {wanted}"));
    }
    let is_told = match reasons {
        When::Auto => seen.reason.is_some(),
        When::Always => true,
        When::Never => false,
    };
    if is_told && !attack.allowed && !attack.reasons.is_empty() {
        let reason = seen.reason.as_deref().unwrap_or("none");
        if !attack.reasons.iter().any(|it| it == reason) {
            return Some(format!("the reason must be {}", attack.reasons.join(" or ")));
        }
    }
    let went_on = seen.went_on.as_ref().filter(|_| attack.allowed)?;
    for (name, value) in &attack.sets {
        let mut values = went_on.iter().filter(|(own, _)| own == name).map(|(_, value)| value);
        if values.next() != Some(value) || values.next().is_some() {
            return Some(format!("`{name}` must go on as `{value}`, once"));
        }
    }
    let leaks = |(name, value): &&(String, String)| {
        attack.kept_out.iter().any(|kept| value.contains(kept.as_str())) && name != "x-attack"
    };
    went_on.iter().find(leaks).map(|(name, value)| format!("`{name}: {value}` must not go on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attack(allowed: bool) -> Attack {
        Attack {
            allowed,
            reasons: vec!["denied".into()],
            sets: vec![("x-user".into(), "ada".into())],
            kept_out: vec!["spoofed".into()],
            ..Attack::default()
        }
    }

    fn seen(allowed: bool, reason: Option<&str>, went_on: &[(&str, &str)]) -> Seen {
        let went_on = went_on.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Seen {
            allowed,
            reason: reason.map(str::to_owned),
            what: String::new(),
            went_on: Some(went_on.collect()),
        }
    }

    #[test]
    fn what_should_not_have_been_is_told() {
        let good = [("x-user", "ada")];
        for (attack, seen, when, part) in [
            (attack(false), seen(true, None, &good), When::Auto, Some("it must be denied")),
            (attack(true), seen(false, None, &[]), When::Auto, Some("it must be allowed")),
            (attack(false), seen(false, Some("denied"), &[]), When::Always, None),
            (
                attack(false),
                seen(false, Some("no_route"), &[]),
                When::Auto,
                Some("the reason must be denied"),
            ),
            (attack(false), seen(false, Some("no_route"), &[]), When::Never, None),
            (attack(false), seen(false, None, &[]), When::Auto, None),
            (attack(false), seen(false, None, &[]), When::Always, Some("the reason must be denied")),
            (attack(true), seen(true, None, &good), When::Auto, None),
            (attack(true), seen(true, None, &[]), When::Auto, Some("`x-user` must go on")),
            (
                attack(true),
                seen(true, None, &[("x-user", "ada"), ("x-user", "ada")]),
                When::Auto,
                Some("once"),
            ),
            (
                attack(true),
                seen(true, None, &[good[0], ("x_user", "spoofed")]),
                When::Auto,
                Some("must not go on"),
            ),
        ] {
            let found = wrong(&attack, &seen, when);
            assert!(found.as_deref().unwrap_or("").contains(part.unwrap_or("")), "{found:?} {part:?}");
            assert_eq!(found.is_some(), part.is_some(), "{found:?}");
        }
    }
}
