//! The messages of a chat as a tree, and the branch of it that is shown. Links to parents are the
//! truth; lists of children only order siblings. Whatever is damaged, the walk ends.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::text;
use super::time;

/// A message that has a role we show.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) is_answer: bool,
    pub(super) text: String,
    pub(super) has_parts: bool,
    pub(super) model: Option<String>,
    pub(super) at: Option<i64>,
    pub(super) is_interrupted: bool,
    parent: Option<String>,
    children: Vec<String>,
}

impl Node {
    fn read(message: &Value) -> Option<Self> {
        let is_answer = match message.get("role")?.as_str()? {
            "user" => false,
            "assistant" => true,
            _ => return None,
        };
        let word = |key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
        let (text, has_parts) = text::visible(message);
        let children = message.get("childrenIds").and_then(Value::as_array);
        Some(Self {
            is_answer,
            text,
            has_parts,
            model: word("model"),
            at: message.get("timestamp").and_then(time::milliseconds),
            is_interrupted: is_answer
                && (message.get("done") == Some(&Value::Bool(false))
                    || message.get("error").is_some_and(|e| !e.is_null())),
            parent: word("parentId"),
            children: children.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

/// A message of table `chat_message`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) message: Value,
    /// True when it was written after the chat.
    pub(super) is_newer: bool,
}

/// The messages of a chat.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    current: Option<String>,
    /// Messages that are damaged or of another role.
    pub(super) not_shown: u64,
    /// Messages with two different texts.
    pub(super) differing: u64,
}

impl Tree {
    /// Reads the JSON of a chat, and what `chat_message` has besides.
    pub(super) fn read(chat: &Value, rows: Vec<Row>) -> Self {
        let mut tree = Self::default();
        let history = &chat["history"];
        if let Some(messages) = history["messages"].as_object().filter(|messages| !messages.is_empty()) {
            for (id, message) in messages {
                tree.add(id.clone(), Node::read(message));
            }
            tree.current = history["currentId"].as_str().map(str::to_owned);
        } else {
            let mut parent = None;
            for (number, message) in chat["messages"].as_array().into_iter().flatten().enumerate() {
                let id = format!("{number:09}");
                let node =
                    Node::read(message).map(|node| Node { parent: parent.clone(), children: Vec::new(), ..node });
                if node.is_some() {
                    parent = Some(id.clone());
                }
                tree.add(id, node);
            }
        }
        for row in rows {
            tree.join(row);
        }
        tree
    }

    fn add(&mut self, id: String, node: Option<Node>) {
        match node {
            Some(node) => drop(self.nodes.insert(id, node)),
            None => self.not_shown += 1,
        }
    }

    fn join(&mut self, row: Row) {
        let Some(other) = Node::read(&row.message) else { return };
        match self.nodes.get_mut(&row.id) {
            None => drop(self.nodes.insert(row.id, other)),
            Some(node) if node.text != other.text => {
                self.differing += 1;
                if node.text.is_empty() || (row.is_newer && !other.text.is_empty()) {
                    (node.text, node.has_parts) = (other.text, node.has_parts || other.has_parts);
                }
            }
            Some(_) => {}
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the current branch from its beginning.
    pub(super) fn branch(&self) -> Vec<&Node> {
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, node) in &self.nodes {
            if let Some(parent) = node.parent.as_deref() {
                below.entry(parent).or_default().push(id);
            }
        }
        let Some(start) = self.start(&below) else { return Vec::new() };
        let mut leaf = start;
        let mut seen = BTreeSet::from([leaf]);
        while let Some(next) = below.get(leaf).and_then(|children| self.last(leaf, children)) {
            if !seen.insert(next) {
                break;
            }
            leaf = next;
        }
        let mut branch = Vec::new();
        let (mut at, mut seen) = (Some(leaf), BTreeSet::new());
        while let Some(id) = at.filter(|id| seen.insert(*id)) {
            let Some(node) = self.nodes.get(id) else { break };
            branch.push(node);
            at = node.parent.as_deref();
        }
        branch.reverse();
        branch
    }

    /// Returns the current message, or else the newest leaf.
    fn start<'a>(&'a self, below: &BTreeMap<&str, Vec<&str>>) -> Option<&'a str> {
        let known = self.current.as_deref().filter(|id| self.nodes.contains_key(*id));
        let newest = |only_leaves: bool| {
            let nodes = self.nodes.iter().filter(|(id, _)| !only_leaves || !below.contains_key(id.as_str()));
            nodes.max_by_key(|(id, node)| (node.at, id.as_str())).map(|(id, _)| id.as_str())
        };
        known.or_else(|| newest(true)).or_else(|| newest(false))
    }

    /// Returns the last of siblings, as their parent orders them and then by time.
    fn last<'a>(&self, parent: &str, children: &[&'a str]) -> Option<&'a str> {
        let order = self.nodes.get(parent).map(|node| &node.children);
        let place = |id: &str| order.and_then(|order| order.iter().position(|child| child == id));
        let time = |id: &str| self.nodes.get(id).and_then(|node| node.at);
        children.iter().copied().max_by_key(|id| (place(id), time(id), id.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Row, Tree};

    fn message(parent: Option<&str>, children: &[&str], role: &str, text: &str) -> Value {
        json!({"parentId": parent, "childrenIds": children, "role": role, "content": text})
    }

    fn texts(chat: &Value) -> Vec<String> {
        Tree::read(chat, Vec::new()).branch().into_iter().map(|node| node.text.clone()).collect()
    }

    fn branched(current: Value) -> Value {
        json!({"history": {"currentId": current, "messages": {
            "q": message(None, &["a2", "a1"], "user", "question"),
            "a1": message(Some("q"), &[], "assistant", "first"),
            "a2": message(Some("q"), &[], "assistant", "second"),
            "broken": null,
        }}})
    }

    #[test]
    fn branch_leads_to_the_current_message() {
        assert_eq!(texts(&branched(json!("a2"))), ["question", "second"]);
        // Not a leaf: down the last child as its parent orders them.
        assert_eq!(texts(&branched(json!("q"))), ["question", "first"]);
        assert_eq!(texts(&branched(json!("gone"))).len(), 2);
        let tree = Tree::read(&branched(Value::Null), Vec::new());
        assert_eq!((tree.len(), tree.not_shown), (3, 1));
    }

    #[test]
    fn cycles_and_missing_parents_end_the_walk() {
        let cycle = json!({"history": {"currentId": "a", "messages": {
            "a": message(Some("b"), &["b"], "user", "a"),
            "b": message(Some("a"), &["a"], "assistant", "b"),
            "self": message(Some("self"), &["self"], "user", "s"),
        }}});
        assert_eq!(texts(&cycle).len(), 2);
        let orphan = json!({"history": {"currentId": "a", "messages": {"a": message(Some("gone"), &[], "user", "a")}}});
        assert_eq!(texts(&orphan), ["a"]);
        assert!(texts(&json!(null)).is_empty());
    }

    #[test]
    fn flat_lists_keep_their_order() {
        let many: Vec<Value> = (0..5000).map(|n| json!({"role": "user", "content": n.to_string()})).collect();
        let expected: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
        assert_eq!(texts(&json!({ "messages": many })), expected);
    }

    #[test]
    fn rows_add_what_the_json_lacks() {
        let row = |id: &str, text: &str, is_newer| {
            let message = message(Some("q"), &[], "assistant", text);
            Row { id: id.to_owned(), message, is_newer }
        };
        let read = |row| {
            let tree = Tree::read(&branched(json!("a1")), vec![row]);
            (tree.len(), tree.differing, tree.branch()[1].text.clone())
        };
        assert_eq!(read(row("a1", "newer", true)), (3, 1, "newer".to_owned()));
        assert_eq!(read(row("a1", "older", false)), (3, 1, "first".to_owned()));
        assert_eq!(read(row("a3", "third", false)), (4, 0, "first".to_owned()));
    }
}
