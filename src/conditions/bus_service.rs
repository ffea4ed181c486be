//! One service on the bus, as it is followed: which connection owns its name, which of its
//! signals are wanted, and what it is asked.
//!
//! Messages to be sent are collected, and messages received are given in, so all of this is
//! tested without a bus. The bus answers in the order in which it is asked: a match rule that
//! is added before a question misses no change after the answer. An answer that does not come
//! blocks nothing, and the next question replaces it.
//!
//! Any program may send a signal straight to a connection, whatever that matches. So a signal
//! counts only if the bus names the owner of the service as its sender.
//!
//! D-Bus specification: "org.freedesktop.DBus.NameOwnerChanged", "org.freedesktop.DBus.AddMatch",
//! "Message Format" (`NO_AUTO_START`).

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use zbus::Message;
use zbus::message::{Flags, Type};
use zbus::names::OwnedUniqueName;

/// The name of the bus, which is also that of its interface.
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// The interface of properties.
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// The interface that lists objects.
pub(super) const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// The longest body that is looked at, in bytes. A list of 1000 devices has about 1 MiB.
const MAX_BODY: usize = 4 << 20;

/// What a service is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question {
    /// The value of a property.
    Property {
        path: &'static str,
        interface: &'static str,
        property: &'static str,
    },
    /// All its objects.
    Objects,
}

/// News of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The name has another owner, or none: nothing that was known holds any more.
    NewOwner,
    /// The message is a signal of the owner.
    Signal,
    /// The message is the answer to the question.
    Answer,
    /// The question was refused, or its answer is too long.
    NoAnswer,
}

/// A service that is followed.
#[derive(Debug)]
pub(super) struct BusService {
    name: &'static str,
    question: Question,
    owner: Option<OwnedUniqueName>,
    /// The match rules that the bus has, besides the one for the owner.
    rules: BTreeSet<String>,
    /// The question is to be asked.
    unasked: bool,
    /// Serial numbers of the calls whose replies are awaited.
    owner_call: Option<NonZeroU32>,
    question_call: Option<NonZeroU32>,
}

impl BusService {
    pub(super) fn new(name: &'static str, question: Question) -> Self {
        Self {
            name,
            question,
            owner: None,
            rules: BTreeSet::new(),
            unasked: false,
            owner_call: None,
            question_call: None,
        }
    }

    /// Asks the bus for the owner of the name, now and whenever it changes.
    pub(super) fn start(&mut self, to_send: &mut Vec<Message>) -> zbus::Result<()> {
        let name = self.name;
        let rule = format!(
            "type='signal',sender='{BUS}',path='{BUS_PATH}',interface='{BUS}',\
             member='NameOwnerChanged',arg0='{name}'"
        );
        to_send.push(match_call("AddMatch", &rule)?);
        let call = Message::method_call(BUS_PATH, "GetNameOwner");
        let call = call.destination(BUS).interface(BUS).build(&(name,))?;
        self.owner_call = Some(call.primary_header().serial_num());
        to_send.push(call);
        Ok(())
    }

    /// What this message says of the service; `None` if it says nothing.
    pub(super) fn receive(&mut self, message: &Message) -> Option<News> {
        let header = message.header();
        let sender = header.sender()?.as_str();
        let is_owner = self.owner.as_ref().is_some_and(|owner| *owner == sender);
        match message.message_type() {
            Type::Signal if sender == BUS => {
                let body = message.body();
                let (name, _, owner) = body.deserialize::<(&str, &str, &str)>().ok()?;
                let is_change = header.member()?.as_str() == "NameOwnerChanged";
                (is_change && name == self.name).then(|| self.set_owner(owner))
            }
            Type::Signal => is_owner.then_some(News::Signal),
            kind @ (Type::MethodReturn | Type::Error) => {
                let call = Some(header.reply_serial()?);
                if sender == BUS && call == self.owner_call {
                    self.owner_call = None;
                    let body = message.body();
                    // An error says that there is none.
                    let owner = body.deserialize::<&str>().ok();
                    let owner = owner.filter(|_| kind == Type::MethodReturn);
                    return Some(self.set_owner(owner.unwrap_or_default()));
                }
                // If the owner is gone, the bus answers in its place.
                if call != self.question_call || !(is_owner || sender == BUS) {
                    return None;
                }
                self.question_call = None;
                let is_answer = kind == Type::MethodReturn && message.body().len() <= MAX_BODY;
                Some(if is_answer {
                    News::Answer
                } else {
                    News::NoAnswer
                })
            }
            Type::MethodCall => None,
        }
    }

    fn set_owner(&mut self, owner: &str) -> News {
        self.owner = OwnedUniqueName::try_from(owner).ok();
        self.question_call = None;
        self.unasked = self.owner.is_some();
        News::NewOwner
    }

    /// The connection that owns the name.
    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_ref().map(|owner| owner.as_str())
    }

    /// Makes the bus send the signals that these match rules select, and no others. Returns
    /// whether a rule is new.
    pub(super) fn select(
        &mut self,
        rules: BTreeSet<String>,
        to_send: &mut Vec<Message>,
    ) -> zbus::Result<bool> {
        for rule in self.rules.difference(&rules) {
            to_send.push(match_call("RemoveMatch", rule)?);
        }
        let mut is_new = false;
        for rule in rules.difference(&self.rules) {
            to_send.push(match_call("AddMatch", rule)?);
            is_new = true;
        }
        self.rules = rules;
        Ok(is_new)
    }

    /// The question is to be asked with the next round.
    pub(super) fn ask_again(&mut self) {
        self.unasked = self.owner.is_some();
    }

    pub(super) fn has_question(&self) -> bool {
        self.unasked
    }

    /// Asks the question, if it is to be asked.
    pub(super) fn ask(&mut self, to_send: &mut Vec<Message>) -> zbus::Result<()> {
        let Some(owner) = self.owner.as_ref().filter(|_| self.unasked) else {
            return Ok(());
        };
        let call = match self.question {
            Question::Property {
                path,
                interface,
                property,
            } => {
                let call = Message::method_call(path, "Get").interface(PROPERTIES);
                let call = call.destination(owner).with_flags(Flags::NO_AUTO_START);
                call.build(&(interface, property))?
            }
            Question::Objects => {
                let call = Message::method_call("/", "GetManagedObjects");
                let call = call.interface(OBJECT_MANAGER).destination(owner);
                call.with_flags(Flags::NO_AUTO_START).build(&())?
            }
        };
        self.unasked = false;
        self.question_call = Some(call.primary_header().serial_num());
        to_send.push(call);
        Ok(())
    }
}

/// A call by which the bus adds or removes a match rule. It is not answered: without the rule,
/// only the signals are missed.
fn match_call(method: &'static str, rule: &str) -> zbus::Result<Message> {
    let call = Message::method_call(BUS_PATH, method).destination(BUS);
    let call = call.interface(BUS).with_flags(Flags::NO_REPLY_EXPECTED);
    call.build(&(rule,))
}

/// The match rule of a change of properties of this interface, by this sender; `object` narrows
/// it to objects, or is empty.
pub(super) fn changed_rule(sender: &str, interface: &str, object: &str) -> String {
    format!(
        "type='signal',sender='{sender}',interface='{PROPERTIES}',\
         member='PropertiesChanged',arg0='{interface}'{object}"
    )
}
