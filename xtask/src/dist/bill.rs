//! A bill of materials in CycloneDX's format: each crate that is part of the program or the C library, with its licence,
//! its checksum and what it depends on.

use super::{VERSION, tree};
use crate::{output, root};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes it into `out`; its name.
pub(crate) fn write(out: &Path) -> Result<String> {
    let name = format!("sharesock-{VERSION}.cdx.json");
    let mut text = serde_json::to_string_pretty(&bill()?)?;
    text.push('\n');
    tree::write(&out.join(&name), text)?;
    Ok(name)
}

fn bill() -> Result<Value> {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let mut metadata = cargo("metadata");
    metadata.args(["--locked", "--format-version", "1", "--filter-platform", &target]);
    let metadata: Value =
        serde_json::from_str(&output(&mut metadata)?).context("reading what `cargo metadata` prints")?;
    let parts = parts(&target)?;
    let sums = checksums(&fs::read_to_string(root().join("Cargo.lock"))?);

    let empty = Vec::new();
    let list = |value: &'_ Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut names = BTreeMap::new();
    let mut components = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap_or(&empty) {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        if !parts.contains(&(name.to_owned(), version.to_owned())) {
            continue;
        }
        let purl = format!("pkg:cargo/{name}@{version}");
        names.insert(text(&package["id"]).to_owned(), purl.clone());
        let mut component = json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl});
        if let Some(licence) = package["license"].as_str() {
            component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
        }
        if let Some(sum) = sums.get(&(name.to_owned(), version.to_owned())) {
            component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
        }
        components.insert(purl, component);
    }
    let mut dependencies = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap_or(&empty) {
        let Some(purl) = names.get(text(&node["id"])) else { continue };
        let needed: BTreeSet<&String> =
            list(node, "dependencies").iter().filter_map(|id| names.get(text(id))).collect();
        dependencies.insert(purl, json!({"ref": purl, "dependsOn": needed}));
    }
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "application", "bom-ref": "sharesock", "name": "sharesock", "version": VERSION,
            "licenses": [{"expression": env!("CARGO_PKG_LICENSE")}],
        }},
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies.into_values().collect::<Vec<_>>(),
    }))
}

/// Name and version of each crate that is built for this target.
fn parts(target: &str) -> Result<BTreeSet<(String, String)>> {
    let mut tree = cargo("tree");
    tree.args(["--locked", "--package", "sharesock-cli", "--package", "sharesock-winsock", "--target", target]);
    tree.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let printed = output(&mut tree)?;
    Ok(printed
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
        })
        .collect())
}

/// What Cargo.lock says of each package that comes from a registry.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let (Some(name), Some(version), Some(sum)) = (field("name"), field("version"), field("checksum")) {
            found.insert((name.to_owned(), version.to_owned()), sum.to_owned());
        }
    }
    found
}

fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(command).current_dir(root());
    cargo
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
