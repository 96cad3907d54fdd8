//! Projects of a few files, instances of them, and answers to those.

use serde_json::{Value, json};

use super::{Gym, rows};

/// What a project is, and what mends it.
pub struct Project {
    pub name: &'static str,
    pub files: &'static [(&'static str, &'static str)],
    /// The file that is wrong, and what it should say.
    pub gold: (&'static str, &'static str),
    pub fails: &'static [&'static str],
    pub holds: &'static [&'static str],
}

/// Builds projects; gives an instance of each.
pub fn instances(gym: &Gym, projects: &[&Project]) -> Vec<Value> {
    let mut arguments = vec!["build".to_owned()];
    for project in projects {
        let (name, is_flat) = (project.name, !project.files[0].0.starts_with("src/"));
        let mut modules = project.files.iter().map(|(path, _)| *path).filter(|p| !p.contains('/'));
        let modules: Vec<String> = modules
            .by_ref()
            .filter_map(|p| p.strip_suffix(".py").filter(|p| !p.starts_with("test_")))
            .map(|p| format!("\"{p}\""))
            .collect();
        let layout = if is_flat {
            format!("py-modules = [{}]", modules.join(", "))
        } else {
            "package-dir = {\"\" = \"src\"}".to_owned()
        };
        gym.write(
            &format!("{name}/pyproject.toml"),
            &format!("[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n[project]\nname = \"{name}-of-ours\"\nversion = \"1.0\"\n[tool.setuptools]\n{layout}\n"),
        );
        for (path, text) in project.files {
            gym.write(&format!("{name}/{path}"), text);
        }
        arguments.push(format!("./{name}"));
    }
    arguments.extend(["--out".to_owned(), "build".to_owned()]);
    gym.must(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let built = rows(&gym.read("build/images.jsonl"));
    let row = |project: &&Project| {
        let is_it = |b: &&Value| b["package"].as_str().is_some_and(|n| n.starts_with(project.name));
        let built = built.iter().find(is_it).unwrap_or_else(|| panic!("{}: {built:#?}", project.name));
        let parser = if project.fails[0].contains("::") { "pytest" } else { "unittest" };
        let (path, right) = project.gold;
        json!({
            "instance_id": format!("x__{}-1", project.name), "repo": "x/y", "version": "1",
            "base_commit": built["commit"], "environment_setup_commit": built["commit"],
            "image": format!("swegym:{}", built["image"].as_str().unwrap()),
            "patch": becomes(project, path, right), "test_patch": "", "problem_statement": "It is wrong.",
            "hints_text": "", "created_at": "", "log_parser": parser, "eval_type": "pass_and_fail",
            "FAIL_TO_PASS": project.fails, "PASS_TO_PASS": project.holds,
        })
    };
    projects.iter().map(row).collect()
}

/// A patch after which a file of a project says something else, or is there at all.
pub fn becomes(project: &Project, path: &str, text: &str) -> String {
    let old = project.files.iter().find(|(p, _)| *p == path).map(|(_, old)| *old);
    let lines = |sign: char, text: &str| text.lines().map(|l| format!("{sign}{l}\n")).collect::<String>();
    let head = match old {
        None => "new file mode 100644\n--- /dev/null\n".to_owned(),
        Some(_) => format!("--- a/{path}\n"),
    };
    let old = old.unwrap_or_default();
    let from = if old.is_empty() { "0,0".to_owned() } else { format!("1,{}", old.lines().count()) };
    format!(
        "diff --git a/{path} b/{path}\n{head}+++ b/{path}\n@@ -{from} +1,{} @@\n{}{}",
        text.lines().count(),
        lines('-', old),
        lines('+', text)
    )
}

/// Evaluates named answers to one instance at once: (name, report).
pub fn evaluate(gym: &Gym, out: &str, answers: &[(String, &Value, String)]) -> Vec<(String, Value)> {
    let mut all = [String::new(), String::new()];
    for (i, (_, instance, patch)) in answers.iter().enumerate() {
        let mut instance = (*instance).clone();
        let id = format!("{}{i:03}", instance["instance_id"].as_str().unwrap());
        instance["instance_id"] = json!(id);
        let answer = json!({"instance_id": id, "model_name_or_path": "m", "model_patch": patch});
        all[0] += &format!("{instance}\n");
        all[1] += &format!("{answer}\n");
    }
    gym.write("i.jsonl", &all[0]);
    gym.write("a.jsonl", &all[1]);
    let files = ["evaluate", "--instances", "i.jsonl", "--predictions", "a.jsonl"];
    gym.must(&[&files[..], &["--test-timeout", "60", "--out", out]].concat());
    let reports = rows(&gym.read(&format!("{out}/reports.jsonl")));
    assert_eq!(reports.len(), answers.len());
    let numbered = |(i, (name, ..)): (usize, &(String, &Value, String))| {
        let ends = format!("{i:03}");
        let is_it = |r: &&Value| r["instance_id"].as_str().is_some_and(|id| id.ends_with(&ends));
        (name.clone(), reports.iter().find(is_it).unwrap().clone())
    };
    answers.iter().enumerate().map(numbered).collect()
}
