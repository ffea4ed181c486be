//! The tray item: StatusNotifierItem and its menu, by ksni.
//!
//! Whether there is something new is not in the icon, because bystanders see panels.

use ksni::menu::{MenuItem, StandardItem};
use ksni::{Category, Icon, Status, ToolTip, Tray};
use tokio::sync::mpsc::Sender;

use crate::icon::{self, IconKind};
use crate::menu::{Action, Line};

/// What the panel shows.
#[derive(Debug)]
pub(crate) struct TrayItem {
    pub(crate) title: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) icon: IconKind,
    /// Something is wrong.
    pub(crate) needs_attention: bool,
    /// What the person chose. A click that finds it full is dropped.
    pub(crate) chosen: Sender<Action>,
}

impl Tray for TrayItem {
    // A click opens the menu: all that can be done is there.
    const MENU_ON_ACTIVATE: bool = true;

    fn id(&self) -> String {
        "tcnd-indicator".to_owned()
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn category(&self) -> Category {
        Category::Hardware
    }

    fn status(&self) -> Status {
        // GNOME's extension hides what is passive.
        if self.needs_attention {
            Status::NeedsAttention
        } else {
            Status::Active
        }
    }

    fn icon_name(&self) -> String {
        self.icon.name().to_owned()
    }

    fn icon_pixmap(&self) -> Vec<Icon> {
        icon::pixmaps(self.icon)
    }

    fn attention_icon_name(&self) -> String {
        self.icon_name()
    }

    fn attention_icon_pixmap(&self) -> Vec<Icon> {
        self.icon_pixmap()
    }

    fn tool_tip(&self) -> ToolTip {
        ToolTip {
            title: self.title.clone(),
            ..ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        self.lines.iter().map(item).collect()
    }
}

fn item(line: &Line) -> MenuItem<TrayItem> {
    let text = |text: &str| StandardItem {
        // An underscore alone marks an access key.
        label: text.replace('_', "__"),
        ..StandardItem::default()
    };
    match line {
        Line::Separator => MenuItem::Separator,
        Line::Text(label) => StandardItem {
            enabled: false,
            ..text(label)
        }
        .into(),
        Line::Choice(label, action) => {
            let action = *action;
            let choose = move |tray: &mut TrayItem| {
                let _ = tray.chosen.try_send(action);
            };
            StandardItem {
                activate: Box::new(choose),
                ..text(label)
            }
            .into()
        }
    }
}
