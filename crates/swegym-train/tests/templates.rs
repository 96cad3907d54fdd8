//! Conversations become the text that `transformers` makes of them, and what a
//! model says in them is what is learnt.

use serde_json::Value;
use swegym_core::chat::{Message, Role, Tool, ToolCall};
use swegym_core::wire::openai::{read_message, read_tool};
use swegym_train::corpus;
use swegym_train::mask::Mask;
use swegym_train::template::{Template, TemplateError};
use swegym_train::tokenizer::{Tokenizer, TokenizerError};
use swegym_train::tokens::{HiddenEnd, TokenRow, hidden_end, row_of, rows_of};

fn specials() -> Vec<(&'static str, String)> {
    vec![("bos_token", "<bos>".to_owned()), ("eos_token", "<eos>".to_owned())]
}

#[test]
fn texts_are_those_of_transformers() {
    let golden: Value = serde_json::from_str(include_str!("golden/templates.json")).expect("JSON");
    let cases = golden["cases"].as_array().expect("cases");
    for case in cases {
        let name = case["template"].as_str().expect("a name");
        let source = golden["templates"][name].as_str().expect("a template");
        let template = Template::new(source, &specials()).expect("Jinja");
        let list = |key: &str| case[key].as_array().expect("a list");
        let messages: Vec<Message> =
            list("messages").iter().map(|m| read_message(m).expect("a message")).collect();
        let tools: Vec<Tool> = list("tools").iter().map(|t| read_tool(t).expect("a tool")).collect();
        let text = template.render(&messages, &tools, case["ask"] == true).expect(name);
        assert_eq!(text, case["text"].as_str().expect("a text"), "{name}, {} messages", messages.len());
    }
    assert!(cases.len() >= 32);
}

fn tokenizer(template: Option<&str>) -> Tokenizer {
    let text = "assistant user system tool says hello there and runs a command ".repeat(8);
    corpus::train_tokenizer(&[text], 320, &[], template, corpus::WordRule::default()).expect("a tokenizer")
}

fn conversation() -> Vec<Message> {
    vec![
        Message::of(Role::System, "Be kind."),
        Message::of(Role::User, "hello <|im_end|> there"),
        Message::of(Role::Assistant, "first says"),
        Message::of(Role::User, "and"),
        Message::of(Role::Assistant, "second runs"),
    ]
}

/// The stretches of tokens that are learnt, as text with special tokens.
fn learnt(tokenizer: &Tokenizer, mask: &Mask, messages: &[Message]) -> Vec<String> {
    let row = row_of(tokenizer, messages, &[], mask).expect("a row");
    let mut stretches: Vec<Vec<u32>> = Vec::new();
    let mut before = false;
    for (id, learnt) in row.input_ids.iter().zip(&row.loss_mask) {
        if *learnt && !before {
            stretches.push(Vec::new());
        }
        if let (true, Some(last)) = (*learnt, stretches.last_mut()) {
            last.push(*id);
        }
        before = *learnt;
    }
    let text = |ids: &Vec<u32>| {
        let end = tokenizer.end.filter(|end| ids.last() == Some(end)).map_or("", |_| "|end");
        tokenizer.decode(ids) + end
    };
    stretches.iter().map(text).collect()
}

#[test]
fn turns_are_learnt_without_header_and_with_their_end() {
    let tokenizer = tokenizer(None);
    let messages = conversation();
    assert_eq!(learnt(&tokenizer, &Mask::default(), &messages), ["first says|end", "second runs|end"]);
    let last = Mask { last_only: true, ..Mask::default() };
    assert_eq!(learnt(&tokenizer, &last, &messages), ["second runs|end"]);
    let skip = Mask { skip: vec![1], ..Mask::default() };
    assert_eq!(learnt(&tokenizer, &skip, &messages), ["first says|end"]);
}

#[test]
fn marks_of_the_template_say_what_is_learnt() {
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}\n    {% generation %}\n{{ m.content }}<|im_end|>{% endgeneration %}\n{% else %}\n{{ m.content }}<|im_end|>{% endif %}\n\n{% endfor %}";
    let tokenizer = tokenizer(Some(template));
    assert_eq!(learnt(&tokenizer, &Mask::default(), &conversation()), ["first says|end", "second runs|end"]);
}

#[test]
fn what_was_sampled_is_learnt_to_the_byte() {
    let tokenizer = tokenizer(None);
    let call = ToolCall { id: "1".to_owned(), name: "run".to_owned(), arguments: "{}".to_owned() };
    let mut message = Message::assistant("words", vec![call]);
    message.sampled = Some("words  <function=run>\n\n</function".to_owned());
    let messages = [Message::of(Role::User, "hello"), message];
    assert_eq!(learnt(&tokenizer, &Mask::default(), &messages), ["words  <function=run>\n\n</function|end"]);
}

#[test]
fn a_template_that_rewrites_what_came_before_is_refused() {
    let template = "{% for m in messages %}{% if loop.last or m.role != 'assistant' %}{{ m.role }}: {{ m.content }}\n{% else %}assistant: (gone)\n{% endif %}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    let template = Template::new(template, &[]).expect("Jinja");
    let error = template.render_turns(&conversation(), &[]).expect_err("the first turn is rewritten");
    assert_eq!(error, TemplateError::Rewrites(2));
}

#[test]
fn where_a_template_drops_earlier_thoughts_each_turn_is_learnt_after_what_it_read() {
    let template = "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}<|im_start|>assistant\n{{ m.content.split('|')[1] }}<|im_end|>\n{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    let tokenizer = tokenizer(Some(template));
    let messages = [
        Message::of(Role::User, "hello"),
        Message::of(Role::Assistant, "thought|first"),
        Message::of(Role::User, "and"),
        Message::of(Role::Assistant, "idea|second"),
    ];
    let rows = rows_of(&tokenizer, &messages, &[], &Mask::default()).expect("rows");
    let told = |row: &TokenRow| {
        let part = |learnt: bool| -> Vec<u32> {
            row.input_ids
                .iter()
                .zip(&row.loss_mask)
                .filter(|(_, l)| **l == learnt)
                .map(|(id, _)| *id)
                .collect()
        };
        (tokenizer.decode(&part(false)), tokenizer.decode(&part(true)))
    };
    let told: Vec<(String, String)> = rows.iter().map(told).collect();
    let expected = [
        ("user\nhello\nassistant\n", "thought|first"),
        ("user\nhello\nassistant\nfirst\nuser\nand\nassistant\n", "idea|second"),
    ];
    assert_eq!(told, expected.map(|(read, said)| (read.to_owned(), said.to_owned())));
    assert!(rows.iter().all(|row| row.input_ids.last() == tokenizer.end.as_ref()));
}

#[test]
fn a_template_without_a_place_for_tools_has_calls_told_in_text() {
    let tokenizer = tokenizer(None);
    let arguments = "{\"command\": \"ls\"}".to_owned();
    let call = ToolCall { id: "1".to_owned(), name: "run".to_owned(), arguments };
    let answer = Message::answer(&call, "a.py");
    let messages = [
        Message::of(Role::System, "s"),
        Message::of(Role::User, "hello"),
        Message::assistant("", vec![call]),
        answer,
    ];
    let told = "<function=run>\n<parameter=command>ls</parameter>\n</function>|end";
    assert_eq!(learnt(&tokenizer, &Mask::default(), &messages), [told]);
    // What nothing could carry out is told as it was written.
    let broken =
        ToolCall { id: "2".to_owned(), name: "run".to_owned(), arguments: "{\"command\": ".to_owned() };
    let answer = Message::answer(&broken, "this is no JSON");
    let messages = [Message::of(Role::User, "hello"), Message::assistant("So.", vec![broken]), answer];
    let told = "So.\n\n<function=run>\n{\"command\": |end";
    assert_eq!(learnt(&tokenizer, &Mask::default(), &messages), [told]);
}

#[test]
fn templates_that_fail_say_why() {
    let error = Template::new("{% for %}", &[]).expect_err("no Jinja").to_string();
    assert!(error.starts_with("the chat template does not parse: "), "{error}");
    let template = Template::new("a\n{{ raise_exception('roles must alternate') }}", &[]).expect("Jinja");
    let error = template.render(&conversation(), &[], false).expect_err("it refuses").to_string();
    assert_eq!(error, "the chat template does not render: roles must alternate (line 2)");
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    let endless = Template::new(endless, &[]).expect("Jinja");
    let error = endless.render(&conversation(), &[], false).expect_err("it never ends").to_string();
    assert!(error.contains("ran out of fuel"), "{error}");
    let text = "hello ".repeat(9);
    let lacking = corpus::train_tokenizer(
        &[text],
        300,
        &[],
        Some("<|turn_end|>{{ messages }}"),
        corpus::WordRule::default(),
    );
    let error = lacking.expect_err("a token that is not there").to_string();
    assert!(error.ends_with("chat template: the token `<|turn_end|>` is not in the vocabulary"), "{error}");
    assert!(matches!(tokenizer(None).check(100), Err(TokenizerError::TooLarge { rows: 100, .. })));
}

/// A template of turns that each way of ending them is put into.
fn turns_of(said: &str, after: &str) -> String {
    format!(
        "{{% for m in messages %}}{{% if m.role == 'assistant' %}}<|im_start|>assistant\n{said}{after}\n\
         {{% else %}}<|im_start|>{{{{ m.role }}}}\n{{{{ m.content }}}}<|im_end|>\n{{% endif %}}{{% endfor %}}\
         {{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}"
    )
}

#[test]
fn marks_that_leave_the_end_out_or_take_the_header_in_say_the_same() {
    let mark = |text: &str| format!("{{% generation %}}{text}{{% endgeneration %}}");
    let header = "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}<|im_start|>assistant\n{{ m.content }}<|im_end|>{% endgeneration %}{{ '\\n' }}{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{{ '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}";
    for template in [
        turns_of(&mark("{{ m.content }}<|im_end|>"), ""),
        turns_of(&mark("{{ m.content }}"), "<|im_end|>"),
        turns_of("{{ m.content }}", "<|im_end|>"),
        header.to_owned(),
        // In two stretches, which are one turn all the same.
        turns_of(&[mark("{{ m.content[:3] }}"), mark("{{ m.content[3:] }}<|im_end|>")].concat(), ""),
    ] {
        let tokenizer = tokenizer(Some(&template));
        let messages = conversation();
        let told: Vec<String> = learnt(&tokenizer, &Mask::default(), &messages);
        assert_eq!(told, ["first says|end", "second runs|end"], "{template}");
        let skip = Mask { skip: vec![0], ..Mask::default() };
        assert_eq!(learnt(&tokenizer, &skip, &messages), ["second runs|end"], "{template}");
        assert_eq!(hidden_end(&tokenizer), None, "{template}");
    }
}

#[test]
fn an_end_that_a_template_hides_is_told() {
    let plain = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    assert_eq!(hidden_end(&tokenizer(Some(plain))), Some(HiddenEnd::Always));
    // The header of what follows is what the model stops at.
    let before = "{% for m in messages %}{% if m.role != 'assistant' %}<|im_end|>{% endif %}{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    let tokenizer = tokenizer(Some(before));
    assert_eq!(learnt(&tokenizer, &Mask::default(), &conversation()), ["first says|end", "second runs"]);
    assert_eq!(hidden_end(&tokenizer), Some(HiddenEnd::Last));
}

#[test]
fn nobody_said_the_end_of_a_turn_that_was_cut() {
    let tokenizer = tokenizer(None);
    let mask = |cut: &[usize]| Mask { cut: cut.to_vec(), ..Mask::default() };
    assert_eq!(learnt(&tokenizer, &mask(&[0]), &conversation()), ["first says", "second runs|end"]);
    assert_eq!(learnt(&tokenizer, &mask(&[0, 1]), &conversation()), ["first says", "second runs"]);
    // How far a call came is not known.
    let call = ToolCall { id: "1".to_owned(), name: "run".to_owned(), arguments: "{\"a\": 1}".to_owned() };
    let messages = [Message::of(Role::User, "hello"), Message::assistant("words", vec![call])];
    assert!(learnt(&tokenizer, &mask(&[0]), &messages).is_empty());
}

#[test]
fn a_token_never_reaches_from_what_was_asked_into_what_was_said() {
    let template = "{% for m in messages %}{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}";
    let text = "assistant\n\n  hello\n\nuser there ".repeat(40);
    let tokenizer = corpus::train_tokenizer(&[text], 320, &[], Some(template), corpus::WordRule::default());
    let tokenizer = tokenizer.expect("a tokenizer");
    for said in ["\n  hello", "\nhello", " hello", "hello"] {
        let messages = [Message::of(Role::User, "there"), Message::of(Role::Assistant, said)];
        assert_eq!(learnt(&tokenizer, &Mask::default(), &messages), [format!("{said}|end")]);
        // As a model that is asked goes on: its prompt is cut into tokens alone.
        let row = row_of(&tokenizer, &messages, &[], &Mask::default()).expect("a row");
        let asked =
            tokenizer.template.as_ref().expect("one").render(&messages[..1], &[], true).expect("text");
        assert!(row.input_ids.starts_with(&tokenizer.encode(&asked).expect("tokens")), "{said:?}");
    }
}

#[test]
fn a_call_that_is_no_json_is_learnt_as_it_was_said_or_not_at_all() {
    let calls = |arguments: &str| {
        format!(
            "{{% for m in messages %}}<|im_start|>{{{{ m.role }}}}\n{{{{ m.content }}}}{{% for c in m.tool_calls %}}<tool_call>{{\"name\": \"{{{{ c.function.name }}}}\", \
             {arguments}</tool_call>{{% endfor %}}<|im_end|>\n{{% endfor %}}{{% if tools %}}{{% endif %}}\
             {{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}"
        )
    };
    let json = calls("\"arguments\": {{ c.function.arguments | tojson }}}");
    let either = calls(
        "\"arguments\": {{ c.function.arguments if c.function.arguments is string else c.function.arguments | tojson }}}",
    );
    let apart = calls("{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v }}{% endfor %}");
    let said = |arguments: &str| {
        let (id, name) = ("1\"\\".to_owned(), "run".to_owned());
        let call = ToolCall { id, name, arguments: arguments.to_owned() };
        let last = Message::of(Role::Assistant, "second");
        let answer = Message::answer(&call, "no");
        [Message::of(Role::User, "hello"), Message::assistant("first ", vec![call]), answer, last]
    };
    for broken in ["{\"a\": \"ls", "ls -l", "[1]", "\"ls\"", "{\"a\": 1}}", "{0}", "</tool_call>"] {
        for template in [&json, &either] {
            let tokenizer = tokenizer(Some(template));
            let first =
                format!("first <tool_call>{{\"name\": \"run\", \"arguments\": {broken}}}</tool_call>|end");
            assert_eq!(learnt(&tokenizer, &Mask::default(), &said(broken)), [first.as_str(), "second|end"]);
        }
        // Where the form has no room for it, nobody is taught what was not said.
        let tokenizer = tokenizer(Some(&apart));
        assert_eq!(learnt(&tokenizer, &Mask::default(), &said(broken)), ["second|end"], "{broken}");
    }
    let tokenizer = tokenizer(Some(&json));
    let whole = "first <tool_call>{\"name\": \"run\", \"arguments\": {\"a\": 1}}</tool_call>|end";
    assert_eq!(learnt(&tokenizer, &Mask::default(), &said("{\"a\":1}")), [whole, "second|end"]);
}

#[test]
fn calls_that_a_template_tells_one_by_one_keep_their_turns_number() {
    let tokenizer = tokenizer(None);
    let call = |id: &str| ToolCall { id: id.to_owned(), name: "run".to_owned(), arguments: "{}".to_owned() };
    let messages = [
        Message::of(Role::User, "hello"),
        Message::assistant("first", vec![call("1"), call("2")]),
        Message::answer(&call("1"), "a"),
        Message::answer(&call("2"), "b"),
        Message::of(Role::Assistant, "last"),
    ];
    let skip = |turn: usize| Mask { skip: vec![turn], ..Mask::default() };
    assert_eq!(learnt(&tokenizer, &skip(0), &messages), ["last|end"]);
    let first = learnt(&tokenizer, &skip(1), &messages);
    assert!(first.len() == 2 && first.iter().all(|turn| turn.contains("<function=run>")), "{first:?}");
}
