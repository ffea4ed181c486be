//! The icons of the tray item: names in the icon theme, and pixmaps for panels that do not
//! find these names.
//!
//! The pixmaps were drawn from the SVG files in packaging/icons by `scripts/icons`.

use std::io::Cursor;

use tcnd_client::state::Tcnd;

/// What the icon says of tcnd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IconKind {
    On,
    Paused,
    Problem,
    Off,
}

impl IconKind {
    pub(crate) fn of(tcnd: &Tcnd) -> Self {
        match tcnd {
            Tcnd::NotRunning => Self::Off,
            Tcnd::Silent => Self::Problem,
            Tcnd::Running(tcnd) if !tcnd.enabled => Self::Off,
            Tcnd::Running(tcnd) => match tcnd.state.as_str() {
                "paused" => Self::Paused,
                "degraded" | "idle" => Self::Problem,
                _ => Self::On,
            },
        }
    }

    /// The name in the icon theme hicolor.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::On => "org.tcncoalition.Tcnd1-on-symbolic",
            Self::Paused => "org.tcncoalition.Tcnd1-paused-symbolic",
            Self::Problem => "org.tcncoalition.Tcnd1-problem-symbolic",
            Self::Off => "org.tcncoalition.Tcnd1-off-symbolic",
        }
    }

    /// PNG files of 22 and 44 pixels.
    const fn files(self) -> [&'static [u8]; 2] {
        match self {
            Self::On => [
                include_bytes!("../icons/on-22.png"),
                include_bytes!("../icons/on-44.png"),
            ],
            Self::Paused => [
                include_bytes!("../icons/paused-22.png"),
                include_bytes!("../icons/paused-44.png"),
            ],
            Self::Problem => [
                include_bytes!("../icons/problem-22.png"),
                include_bytes!("../icons/problem-44.png"),
            ],
            Self::Off => [
                include_bytes!("../icons/off-22.png"),
                include_bytes!("../icons/off-44.png"),
            ],
        }
    }
}

/// The pixmaps of an icon, ARGB in network byte order (StatusNotifierItem, "IconPixmap").
pub(crate) fn pixmaps(icon: IconKind) -> Vec<ksni::Icon> {
    icon.files().into_iter().filter_map(pixmap).collect()
}

/// `None` if it is no PNG file of 8-bit RGBA; a test shows that each is.
fn pixmap(file: &[u8]) -> Option<ksni::Icon> {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut pixels).ok()?;
    if (frame.color_type, frame.bit_depth) != (png::ColorType::Rgba, png::BitDepth::Eight) {
        return None;
    }
    pixels.truncate(frame.buffer_size());
    for pixel in pixels.chunks_exact_mut(4) {
        pixel.rotate_right(1);
    }
    Some(ksni::Icon {
        width: i32::try_from(frame.width).ok()?,
        height: i32::try_from(frame.height).ok()?,
        data: pixels,
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::menu::headline;
    use tcnd_client::state::TcndState;

    /// Bystanders see the icon, and its title as a tool tip.
    #[test]
    fn neither_icon_nor_title_depends_on_exposures() {
        for state in ["running", "paused", "degraded", "idle", "starting"] {
            let shown = |unseen| {
                let tcnd = Tcnd::Running(TcndState {
                    state: state.to_owned(),
                    enabled: true,
                    unseen,
                    ..TcndState::default()
                });
                (IconKind::of(&tcnd), headline(&tcnd, &TimeZone::UTC))
            };
            assert_eq!(shown(Some(0)), shown(Some(3)), "{state}");
            assert_eq!(shown(Some(0)), shown(None), "{state}");
        }
    }

    #[test]
    fn each_icon_has_two_pixmaps_that_show_something() {
        let mut seen = Vec::new();
        for icon in [
            IconKind::On,
            IconKind::Paused,
            IconKind::Problem,
            IconKind::Off,
        ] {
            let pixmaps = pixmaps(icon);
            let sizes: Vec<_> = pixmaps.iter().map(|it| (it.width, it.height)).collect();
            assert_eq!(sizes, [(22, 22), (44, 44)], "{icon:?}");
            for pixmap in pixmaps {
                let opaque = pixmap.data.chunks_exact(4).filter(|pixel| pixel[0] > 128);
                assert!(opaque.count() > 20, "{icon:?}");
                assert!(!seen.contains(&pixmap.data), "{icon:?} is as another");
                seen.push(pixmap.data);
            }
        }
    }
}
