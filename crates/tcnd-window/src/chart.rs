//! Bars, of which one is selected by a click or by the arrow keys. The text below them says
//! what the selected bar says.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use adw::prelude::*;
use gtk::{gdk, glib};

use crate::view::encounters::Bar;

/// The bars and their text, with the label for who cannot see them. Before GTK 4.10 only a
/// description like this one can set it.
const DESCRIPTION: &str = r#"<interface>
  <object class="GtkDrawingArea" id="bars">
    <property name="focusable">true</property>
    <property name="accessible-role">img</property>
    <property name="height-request">120</property>
    <accessibility>
      <property name="label">LABEL</property>
      <relation name="described-by">words</relation>
    </accessibility>
  </object>
  <object class="GtkLabel" id="words">
    <property name="wrap">true</property>
    <property name="xalign">0</property>
  </object>
</interface>"#;

/// A chart.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bars: gtk::DrawingArea,
    words: gtk::Label,
    shown: RefCell<Vec<Bar>>,
    selected: Cell<usize>,
    selection: RefCell<Option<SelectionHandler>>,
}

/// Called with the place of the bar that a person selected.
struct SelectionHandler(Box<dyn Fn(usize)>);

impl std::fmt::Debug for SelectionHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SelectionHandler")
    }
}

impl Chart {
    /// `label` is what the bars are about, without characters that XML escapes.
    pub(crate) fn new(label: &str) -> Self {
        let builder = gtk::Builder::from_string(&DESCRIPTION.replace("LABEL", label));
        let of_description = "it is in the description";
        let inner = Rc::new(Inner {
            bars: builder.object("bars").expect(of_description),
            words: builder.object("words").expect(of_description),
            shown: RefCell::default(),
            selected: Cell::default(),
            selection: RefCell::default(),
        });
        let drawn = Rc::downgrade(&inner);
        inner.bars.set_draw_func(move |area, cairo, width, height| {
            if let Some(inner) = drawn.upgrade() {
                inner.draw(area, cairo, f64::from(width), f64::from(height));
            }
        });
        Self::listen(&inner);
        Self { inner }
    }

    fn listen(inner: &Rc<Inner>) {
        let keys = gtk::EventControllerKey::new();
        let keyed = Rc::downgrade(inner);
        keys.connect_key_pressed(move |_, key, _, _| {
            let Some(inner) = keyed.upgrade() else {
                return glib::Propagation::Proceed;
            };
            let (at, last) = (
                inner.selected.get(),
                inner.shown.borrow().len().saturating_sub(1),
            );
            let to = match key {
                gdk::Key::Left => at.saturating_sub(1),
                gdk::Key::Right => at + 1,
                gdk::Key::Home => 0,
                gdk::Key::End => last,
                _ => return glib::Propagation::Proceed,
            };
            inner.select(to.min(last));
            glib::Propagation::Stop
        });
        inner.bars.add_controller(keys);
        let click = gtk::GestureClick::new();
        let clicked = Rc::downgrade(inner);
        click.connect_pressed(move |_, _, x, _| {
            if let Some(inner) = clicked.upgrade() {
                inner.bars.grab_focus();
                inner.select(inner.at(x));
            }
        });
        inner.bars.add_controller(click);
        let redrawn = Rc::downgrade(inner);
        inner.bars.connect_has_focus_notify(move |bars| {
            if redrawn.upgrade().is_some() {
                bars.queue_draw();
            }
        });
    }

    pub(crate) fn widgets(&self) -> [&gtk::Widget; 2] {
        [self.inner.bars.upcast_ref(), self.inner.words.upcast_ref()]
    }

    /// Calls this when a person selects a bar.
    pub(crate) fn connect_selected(&self, selected: impl Fn(usize) + 'static) {
        let handler = SelectionHandler(Box::new(selected));
        self.inner.selection.replace(Some(handler));
    }

    /// Shows these bars, with one of them selected.
    pub(crate) fn set(&self, bars: &[Bar], selected: usize) {
        self.inner.shown.replace(bars.to_vec());
        let last = bars.len().saturating_sub(1);
        self.inner.show_selected(selected.min(last));
    }
}

impl Inner {
    fn select(&self, at: usize) {
        self.show_selected(at);
        if let Some(handler) = &*self.selection.borrow() {
            handler.0(at);
        }
    }

    fn show_selected(&self, at: usize) {
        self.selected.set(at);
        let words = self.shown.borrow().get(at).map(Bar::words);
        self.words.set_label(&words.unwrap_or_default());
        self.bars.queue_draw();
    }

    /// The bar at this distance from the left.
    fn at(&self, x: f64) -> usize {
        let (bars, width) = (self.shown.borrow().len(), f64::from(self.bars.width()));
        let at = (x / width.max(1.0) * bars as f64).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is rounded down to a place, and the next line bounds it"
        )]
        let at = at as usize;
        at.min(bars.saturating_sub(1))
    }

    /// Draws the bars by the colours of the theme. A time in which this computer did not
    /// work has a line below it.
    fn draw(&self, area: &gtk::DrawingArea, cairo: &gtk::cairo::Context, width: f64, height: f64) {
        const BELOW: f64 = 6.0;
        let style = area.style_context();
        let text = style.color();
        let accent = style.lookup_color("accent_color").unwrap_or(text);
        let bars = self.shown.borrow();
        let most = bars.iter().map(|bar| bar.numbers).max().unwrap_or(0).max(1);
        let each = width / (bars.len().max(1) as f64);
        let gap = if each > 4.0 { 2.0 } else { 0.0 };
        for (place, bar) in bars.iter().enumerate() {
            let left = place as f64 * each;
            let chosen = place == self.selected.get();
            let share = f64::from(bar.numbers) / f64::from(most) * (height - BELOW - 4.0);
            let high = if bar.numbers == 0 {
                0.0
            } else {
                share.max(2.0)
            };
            let colour = if chosen { accent } else { text };
            set_colour(cairo, colour, if chosen { 1.0 } else { 0.55 });
            cairo.rectangle(left, height - BELOW - high, each - gap, high);
            let _ = cairo.fill();
            let line = if bar.worked { 1.0 } else { BELOW - 2.0 };
            set_colour(cairo, text, if bar.worked { 0.55 } else { 0.25 });
            cairo.rectangle(left, height - BELOW + 1.0, each - gap, line);
            let _ = cairo.fill();
            if chosen && area.has_focus() {
                set_colour(cairo, accent, 1.0);
                cairo.set_line_width(1.0);
                cairo.rectangle(left + 0.5, 0.5, (each - gap - 1.0).max(1.0), height - 1.0);
                let _ = cairo.stroke();
            }
        }
    }
}

fn set_colour(cairo: &gtk::cairo::Context, colour: gdk::RGBA, opacity: f64) {
    let [red, green, blue] = [colour.red(), colour.green(), colour.blue()].map(f64::from);
    cairo.set_source_rgba(red, green, blue, f64::from(colour.alpha()) * opacity);
}
