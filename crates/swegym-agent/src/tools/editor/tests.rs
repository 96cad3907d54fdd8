//! The three generations, on files of a scripted box.

use serde_json::json;
use swegym_sandbox::scripted::ScriptedSandbox;

use super::*;

struct Desk {
    sandbox: ScriptedSandbox,
    catalogue: Catalogue,
    editor: Editor,
}

impl Desk {
    async fn new(generation: Generation, file: &str) -> Self {
        let sandbox = ScriptedSandbox::new([]);
        sandbox.write("/w/f.py", file.as_bytes(), None).await.unwrap();
        Self { sandbox, catalogue: Catalogue::default(), editor: Editor::new(generation, "/w") }
    }

    async fn call(&mut self, arguments: Value) -> String {
        let arguments = arguments.as_object().unwrap();
        self.editor.carry_out(&self.sandbox, &self.catalogue, arguments).await.unwrap().observation
    }

    async fn file(&self) -> String {
        String::from_utf8(self.sandbox.read("/w/f.py", 1 << 20).await.unwrap()).unwrap()
    }

    async fn replace(&mut self, old: &str, new: &str) -> String {
        self.call(json!({"command": "str_replace", "path": "/w/f.py", "old_str": old, "new_str": new})).await
    }
}

#[tokio::test]
async fn an_edit_can_be_seen_and_undone() {
    let mut desk = Desk::new(Generation::C, "a\nb\nc\n").await;
    let seen = desk.replace("b\n", "B\n\tx\n").await;
    assert_eq!(desk.file().await, "a\nB\n\tx\nc\n");
    insta::assert_snapshot!(seen);
    desk.call(json!({"command": "insert", "path": "/w/f.py", "insert_line": 4, "new_str": "end"})).await;
    assert_eq!(desk.file().await, "a\nB\n\tx\nc\nend\n");
    let undo = json!({"command": "undo_edit", "path": "/w/f.py"});
    desk.call(undo.clone()).await;
    desk.call(undo.clone()).await;
    assert_eq!(desk.file().await, "a\nb\nc\n");
    assert_eq!(desk.call(undo).await, "ERROR: There is no edit of `/w/f.py` to undo.");
}

#[tokio::test]
async fn what_is_not_there_once_is_not_replaced() {
    let mut desk = Desk::new(Generation::C, "  x = 1\ny = 1\nx = 1  \n").await;
    let says = [
        desk.replace("z", "y").await,
        desk.replace("y = 1   ", "y").await,
        desk.replace("x = 1", "y").await,
        desk.replace("y", "y").await,
        desk.replace("", "y").await,
    ];
    insta::assert_snapshot!(says.join("\n"));
    assert_eq!(desk.file().await, "  x = 1\ny = 1\nx = 1  \n");
}

#[tokio::test]
async fn tabs_are_kept_in_ours_rewritten_in_a_and_never_met_in_b() {
    let file = "all:\n\tmake\nend\n";
    let mut ours = Desk::new(Generation::C, file).await;
    ours.replace("\tmake", "\tmake -j").await;
    assert_eq!(ours.file().await, "all:\n\tmake -j\nend\n");
    let mut a = Desk::new(Generation::A, file).await;
    a.replace("end", "END").await;
    assert_eq!(a.file().await, "all:\n        make\nEND\n");
    let mut b = Desk::new(Generation::B, file).await;
    assert!(b.replace("\tmake", "\tmake -j").await.contains("does not occur"));
    b.replace("end", "END").await;
    assert_eq!(b.file().await, "all:\n\tmake\nEND\n");
    b.call(json!({"command": "insert", "path": "/w/f.py", "insert_line": 0, "new_str": "#"})).await;
    assert_eq!(b.file().await, "#\nall:\n        make\nEND\n");
}

#[tokio::test]
async fn files_with_carriage_returns_stay_so() {
    let mut desk = Desk::new(Generation::C, "a\r\nb\r\nc\r\n").await;
    desk.replace("a\nb", "x\ny").await;
    desk.call(json!({"command": "insert", "path": "/w/f.py", "insert_line": 1, "new_str": "z"})).await;
    assert_eq!(desk.file().await, "x\r\nz\r\ny\r\nc\r\n");
}

#[tokio::test]
async fn ranges_are_clamped_in_ours_and_refused_before() {
    let view = |range: Value| json!({"command": "view", "path": "/w/f.py", "view_range": range});
    let mut ours = Desk::new(Generation::C, "a\nb\nc\n").await;
    assert_eq!(
        ours.call(view(json!([2, 9]))).await,
        "[the file has 3 lines]\n/w/f.py, with line numbers:\n     2\tb\n     3\tc"
    );
    assert_eq!(ours.call(view(json!([3, -1]))).await, "/w/f.py, with line numbers:\n     3\tc");
    for (wrong, why) in [
        (json!([0, 1]), "within [1, 3]"),
        (json!([3, 2]), "must not be smaller"),
        (json!([1]), "two whole numbers"),
    ] {
        let said = ours.call(view(wrong)).await;
        assert!(said.contains(why), "{said}");
    }
    let mut b = Desk::new(Generation::B, "a\nb\nc\n").await;
    assert!(b.call(view(json!([2, 9]))).await.contains("at most 4"));
    let mut empty = Desk::new(Generation::C, "").await;
    assert_eq!(
        empty.call(json!({"command": "view", "path": "/w/f.py"})).await,
        "/w/f.py, with line numbers:\n"
    );
}

#[tokio::test]
async fn files_are_created_once() {
    let mut desk = Desk::new(Generation::C, "").await;
    let create = |path: &str| json!({"command": "create", "path": path, "file_text": "x"});
    assert_eq!(desk.call(create("/w/g.py")).await, "Created /w/g.py.");
    assert!(desk.call(create("/w/g.py")).await.contains("is there already"));
    assert!(desk.call(create("g.py")).await.contains("Did you mean `/w/g.py`?"));
    assert!(
        desk.call(json!({"command": "create", "path": "/w/h.py"}))
            .await
            .contains("needs the parameter `file_text`")
    );
    desk.sandbox.write("/w/latin", b"\xe9", None).await.unwrap();
    assert!(desk.call(json!({"command": "view", "path": "/w/latin"})).await.contains("not UTF-8"));
    desk.sandbox.write("/w/big", &vec![b'x'; 11 << 20], None).await.unwrap();
    assert!(desk.call(json!({"command": "view", "path": "/w/big"})).await.contains("larger than 10 MB"));
}

#[tokio::test]
async fn nothing_is_deleted_that_nobody_asked_to_delete() {
    for generation in [Generation::A, Generation::B, Generation::C] {
        let mut desk = Desk::new(generation, "a\nb\n").await;
        let path = "/w/f.py";
        for (command, given, needed) in [
            ("str_replace", json!({"old_str": "b\n"}), "new_str"),
            ("str_replace", json!({"new_str": "b\n"}), "old_str"),
            ("insert", json!({"insert_line": 1}), "new_str"),
            ("insert", json!({"new_str": "c"}), "insert_line"),
        ] {
            let mut arguments = given;
            (arguments["command"], arguments["path"]) = (json!(command), json!(path));
            let said = desk.call(arguments).await;
            assert!(said.contains(&format!("`{needed}`")), "{generation:?} {command}: {said}");
        }
        assert_eq!(desk.file().await, "a\nb\n");
        // An empty text is one that was said.
        desk.replace("b\n", "").await;
        assert_eq!(desk.file().await, "a\n", "{generation:?}");
    }
}
