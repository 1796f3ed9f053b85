//! Completions of a shell: those that the definition of the command line gives, and the names of supervisors, which the
//! program is asked for.

use clap_complete::Shell;

/// Commands whose first word is the name of a supervisor.
const NAMING: [&str; 5] = ["reload", "status", "stop", "top", "upgrade"];

/// Offers names in the place of the first word, unless an option is being written.
const BASH: &str = r#"
_sharesock_with_names() {
    _sharesock "$@"
    local word=${COMP_WORDS[COMP_CWORD]}
    case ${COMP_WORDS[1]-} in
        @naming@)
            if [ "$COMP_CWORD" = 2 ] && [[ $word != -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W "$(sharesock names 2> /dev/null)" -- "$word")
            fi
            ;;
    esac
}
complete -F _sharesock_with_names -o bashdefault -o default sharesock
"#;

/// What the generated script calls for the argument `name`.
const ZSH: &str = r#"
(( $+functions[_sharesock_supervisors] )) ||
_sharesock_supervisors() {
    local -a names
    names=(${(f)"$(sharesock names 2> /dev/null)"})
    _describe -t supervisors 'supervisor' names
}
"#;

pub(crate) fn script(shell: Shell, command: &mut clap::Command) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, command, "sharesock", &mut bytes);
    let made = String::from_utf8_lossy(&bytes).into_owned();
    if cfg!(not(target_os = "linux")) {
        return made;
    }
    match shell {
        Shell::Bash => made + &BASH.replace("@naming@", &NAMING.join(" | ")),
        Shell::Zsh => {
            // An optional argument of its own: `'::name -- …:_default'`.
            let lines = made.lines().map(|line| match line.strip_prefix("'::name -- ") {
                Some(_) => line.replace(":_default'", ":_sharesock_supervisors'"),
                None => line.to_owned(),
            });
            let made = lines.collect::<Vec<_>>().join("\n") + "\n";
            made.replacen("autoload -U is-at-least\n", &format!("autoload -U is-at-least\n{ZSH}"), 1)
        }
        Shell::Fish => {
            let names = NAMING.map(|naming| {
                format!(
                    "complete -c sharesock -n \"__fish_sharesock_using_subcommand {naming}\" -f -a \"(sharesock names 2> /dev/null)\"\n"
                )
            });
            made + &names.concat()
        }
        _ => made,
    }
}
