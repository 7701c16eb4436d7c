//! A chart's frame: scales, ticks, grid and titles, as inline SVG.

use maud::{Markup, html};

/// The drawing's own units: as wide as a narrow phone's text, so that its letters stay readable there.
const WIDTH: f64 = 340.0;
const LEFT: f64 = 38.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 42.0;

/// One direction of a chart.
pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) low: f64,
    pub(super) high: f64,
    /// How a tick's value is written.
    pub(super) tick: fn(f64) -> String,
}

/// A chart: its axes, and what someone who cannot see it is told.
pub(super) struct Chart {
    /// Unique on the page.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Height of the plotted area.
    pub(super) height: f64,
}

impl Chart {
    /// The chart with `marks` inside its frame.
    pub(super) fn draw(&self, marks: Markup) -> Markup {
        let (title, description) = (format!("{}-t", self.id), format!("{}-d", self.id));
        let height = TOP + self.height + BOTTOM;
        let (right, bottom) = (WIDTH - RIGHT, TOP + self.height);
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-labelledby=(title) aria-describedby=(description) {
                title id=(title) { (self.title) }
                desc id=(description) { (self.description) }
                g.grid aria-hidden="true" {
                    @for value in ticks(self.y.low, self.y.high) {
                        @let y = self.y(value);
                        line x1=(LEFT) x2=(right) y1=(point(y)) y2=(point(y)) {}
                        text.tick x=(LEFT - 6.0) y=(point(y + 3.5)) text-anchor="end" { ((self.y.tick)(value)) }
                    }
                    @for value in ticks(self.x.low, self.x.high) {
                        @let x = self.x(value);
                        line.stub x1=(point(x)) x2=(point(x)) y1=(bottom) y2=(bottom + 4.0) {}
                        text.tick x=(point(x)) y=(bottom + 16.0) text-anchor="middle" { ((self.x.tick)(value)) }
                    }
                    line.base x1=(LEFT) x2=(right) y1=(bottom) y2=(bottom) {}
                    text.axis x=(point((LEFT + right) / 2.0)) y=(height - 6.0) text-anchor="middle" { (self.x.label) }
                    text.axis x="0" y="11" { (self.y.label) }
                }
                (marks)
            }
        }
    }

    /// Where a value lies from the left; values beyond the axis lie on its end.
    pub(super) fn x(&self, value: f64) -> f64 {
        LEFT + share(&self.x, value) * (WIDTH - LEFT - RIGHT)
    }

    /// Where a value lies from the top.
    pub(super) fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - share(&self.y, value)) * self.height
    }

    /// The path of straight lines through points of the axes' values.
    pub(super) fn path(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (x, y) in points {
            path.push(if path.is_empty() { 'M' } else { 'L' });
            path.push_str(&format!("{} {}", point(self.x(x)), point(self.y(y))));
        }
        path
    }
}

fn share(axis: &Axis, value: f64) -> f64 {
    let share = (value - axis.low) / (axis.high - axis.low);
    // Also where the axis has no length.
    if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// A coordinate: a tenth of a unit is finer than a screen.
pub(super) fn point(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// At most seven round values between `low` and `high`.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    const MOST: f64 = 6.0;
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return vec![low];
    }
    let power = 10f64.powf((span / MOST).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| span / step <= MOST)
        .unwrap_or(span);
    // Half a thousandth of a step lets rounding of the ends pass.
    let slack = step * 5e-4;
    let first = ((low - slack) / step).ceil() as i64;
    let last = ((high + slack) / step).floor() as i64;
    (first..=last).map(|n| n as f64 * step).collect()
}

/// The end of an axis from 0 that holds `largest`: the next round value.
pub(super) fn round_up(largest: f64) -> f64 {
    if !(largest.is_finite() && largest > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(largest.log10().floor());
    [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|end| *end >= largest)
        .unwrap_or(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(
            ticks(0.0, 1.0),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        assert_eq!(ticks(0.0, 0.3).len(), 7);
        assert_eq!(ticks(-0.1, 0.1), [-0.1, -0.05, 0.0, 0.05, 0.1]);
        assert_eq!(ticks(0.5, 0.5), [0.5]);
        assert_eq!(ticks(0.0, f64::NAN), [0.0]);
    }

    #[test]
    fn an_axis_ends_on_a_round_value() {
        for (largest, end) in [
            (0.29, 0.3),
            (0.3, 0.3),
            (0.41, 0.5),
            (0.0, 1.0),
            (f64::NAN, 1.0),
            (7.1, 8.0),
        ] {
            assert!((round_up(largest) - end).abs() < 1e-12, "{largest}");
        }
    }
}
