//! Manual pages of the plain C interface, made from its header: what the header says is said once.

use anyhow::{Result, ensure};
use std::fmt::Write;

/// A page of section 3: its name, and its source.
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) source: String,
}

/// A function of the header, and the comment before it.
struct Function<'a> {
    name: &'a str,
    prototype: String,
    comment: String,
}

/// The pages of all functions, and that of the interface itself.
pub(crate) fn pages(header: &str, version: &str) -> Result<Vec<Page>> {
    let functions = functions(header)?;
    let overview = comment_of(header.split("*/").next().unwrap_or_default());
    let (summary, rest) = overview.split_once(": ").unwrap_or(("", &overview));
    let mut list = String::new();
    functions.iter().for_each(|function| _ = writeln!(list, ".br\n.BR {} (3)", function.name));
    let mut pages = vec![page(
        "sharesock",
        summary,
        ".B #include <sharesock.h>\n",
        &format!("{}\n.SH FUNCTIONS\n{list}", escaped(rest)),
        version,
    )];
    for function in functions {
        let summary = first_sentence(&function.comment);
        let synopsis = format!(".B #include <sharesock.h>\n.P\n.B {}\n", escaped(&function.prototype));
        let body = format!(
            "{}\n.SH RETURN VALUE\nWhat stands above, or a negative number: the negative of an errno, or one of \
             SHARESOCK_E_..., which\n.BR sharesock_error_name (3)\nand\n.BR sharesock_error_text (3)\nexplain. ",
            escaped(&function.comment)
        );
        pages.push(page(function.name, &summary, &synopsis, &body, version));
    }
    Ok(pages)
}

fn page(name: &str, summary: &str, synopsis: &str, body: &str, version: &str) -> Page {
    let title = name.to_uppercase();
    let summary = escaped(summary.trim().trim_end_matches('.'));
    let source = format!(
        ".TH {title} 3 \"\" \"sharesock {version}\" \"Library Functions Manual\"\n.SH NAME\n{name} \\- {summary}\n.SH SYNOPSIS\n\
         .nf\n{synopsis}.fi\n.SH DESCRIPTION\n{body}\n.SH SEE ALSO\n.BR sharesock (3),\n.BR sharesock_winsock (7)\n"
    );
    Page { name: name.to_owned(), source }
}

fn functions(header: &str) -> Result<Vec<Function<'_>>> {
    let mut functions: Vec<Function<'_>> = Vec::new();
    for part in header.split("/*").skip(1) {
        let Some((comment, code)) = part.split_once("*/") else { continue };
        let mut comment = comment_of(comment);
        for statement in code.split(';') {
            let statement = statement.trim();
            let Some((before, _)) = statement.split_once('(') else { continue };
            let name = before.rsplit([' ', '*']).next().unwrap_or_default();
            if !name.starts_with("sharesock_") || before.contains('#') {
                continue;
            }
            ensure!(!comment.is_empty(), "{name} has no comment before it in the header");
            let prototype = format!("{};", statement.split_whitespace().collect::<Vec<_>>().join(" "));
            functions.push(Function { name, prototype, comment: std::mem::take(&mut comment) });
        }
    }
    ensure!(!functions.is_empty(), "the header has no functions");
    Ok(functions)
}

/// The text of a comment, without the stars before its lines; empty lines begin a paragraph.
fn comment_of(comment: &str) -> String {
    let lines = comment.lines().map(|line| line.trim().trim_start_matches(['/', '*']).trim());
    lines
        .map(|line| if line.is_empty() { "\n\n".to_owned() } else { format!("{line} ") })
        .collect::<String>()
        .trim()
        .to_owned()
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").unwrap_or(text.len());
    let sentence = text.get(..end).unwrap_or_default().split(['\u{3b}', ':']).next().unwrap_or_default();
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}

/// Text as troff takes it literally.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace("\n\n", "\n.P\n");
    let begins = |line: &str| if line.starts_with('\'') { format!("\\&{line}") } else { line.to_owned() };
    text.lines().map(|line| begins(line.trim())).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_header_has_its_page() {
        let header = include_str!("../../winsock/plain/sharesock.h");
        let pages = pages(header, "1").unwrap();
        let map = include_str!("../../winsock/sharesock.map");
        let plain = map.split("SHARESOCK_0.2 {").nth(1).unwrap().split('}').next().unwrap();
        let exported = plain.lines().map(str::trim).filter(|line| line.starts_with("sharesock_"));
        let exported: Vec<_> = exported.map(|line| line.trim_end_matches(';')).collect();
        let mut named: Vec<_> =
            pages.iter().map(|page| page.name.as_str()).filter(|name| *name != "sharesock").collect();
        named.sort_unstable();
        assert_eq!(named, exported);
        let redeem = pages.iter().find(|page| page.name == "sharesock_redeem").unwrap();
        assert!(redeem.source.contains("sharesock_redeem \\- one more descriptor"), "{}", redeem.source);
        assert!(redeem.source.contains(".B int sharesock_redeem(const void *info, size_t size, int64_t timeout_ms);"));
    }

    #[test]
    fn a_function_without_a_comment_is_noticed() {
        assert!(pages("/* All. */\n/* One. */\nint sharesock_one(void);\nint sharesock_two(void);\n", "1").is_err());
    }
}
