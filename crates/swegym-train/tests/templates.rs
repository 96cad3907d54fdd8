//! Conversations become the text that `transformers` makes of them, and what a
//! model says in them is what is learnt.

use serde_json::Value;
use swegym_core::chat::{Message, Role, Tool, ToolCall};
use swegym_core::wire::openai::{read_message, read_tool};
use swegym_train::corpus;
use swegym_train::mask::Mask;
use swegym_train::template::{Template, TemplateError};
use swegym_train::tokenizer::{Tokenizer, TokenizerError};
use swegym_train::tokens::{TokenRow, row_of, rows_of};

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
