//! Curves on logarithmic axes, as SVG that any browser shows.

use std::fmt::Write as _;

/// One curve.
#[derive(Debug, Clone)]
pub struct Curve {
    /// What it is.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// Panels side by side, each with a name for its vertical axis and its curves.
#[derive(Debug, Clone)]
pub struct Plot {
    /// A line above all.
    pub title: String,
    /// What the horizontal axes count.
    pub below: String,
    /// The panels.
    pub panels: Vec<(String, Vec<Curve>)>,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 4] = ["#0b6e4f", "#c8553d", "#2f4b7c", "#8a6d00"];

/// A logarithmic axis over whole powers of ten.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn over(figures: impl Iterator<Item = f64>) -> Self {
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for figure in figures.filter(|figure| *figure > 0.0) {
            from = from.min(figure.log10().floor());
            to = to.max(figure.log10().ceil());
        }
        if from.is_finite() { Self { from, to: to.max(from + 1.0) } } else { Self { from: 0.0, to: 1.0 } }
    }

    fn share(&self, figure: f64) -> f64 {
        (figure.max(10_f64.powf(self.from)).log10() - self.from) / (self.to - self.from)
    }

    fn marks(&self) -> Vec<f64> {
        let mut marks = Vec::new();
        let mut power = self.from;
        while power <= self.to + 0.01 {
            marks.push(10_f64.powf(power));
            power += 1.0;
        }
        marks
    }
}

impl Plot {
    /// The picture.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let mut panels = String::new();
        let mut left = 0.0;
        for (name, curves) in &self.panels {
            self.panel(&mut panels, left, name, curves);
            left += WIDTH + MARGIN * 2.0;
        }
        let height = HEIGHT + MARGIN * 3.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {left} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{MARGIN}\" y=\"20\">{}</text>\n{panels}</svg>\n",
            escape(&self.title)
        )
    }

    fn panel(&self, svg: &mut String, left: f64, name: &str, curves: &[Curve]) {
        let across = Axis::over(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)));
        let up = Axis::over(curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)));
        let x = |figure: f64| left + MARGIN + across.share(figure) * WIDTH;
        let y = |figure: f64| MARGIN + HEIGHT - up.share(figure) * HEIGHT;
        for mark in across.marks() {
            let (x, bottom) = (x(mark), MARGIN + HEIGHT);
            line(svg, [x, MARGIN, x, bottom], "#ddd", 1);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark}</text>",
                bottom + 16.0
            );
        }
        for mark in up.marks() {
            let y = y(mark);
            line(svg, [left + MARGIN, y, left + MARGIN + WIDTH, y], "#ddd", 1);
            let (x, y) = (left + MARGIN - 6.0, y + 4.0);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{mark}</text>");
        }
        for (place, (curve, colour)) in (0_u32..).zip(curves.iter().zip(COLOURS.iter().cycle())) {
            for pair in curve.points.windows(2) {
                line(svg, [x(pair[0].0), y(pair[0].1), x(pair[1].0), y(pair[1].1)], colour, 2);
            }
            for (across, up) in &curve.points {
                let (x, y) = (x(*across), y(*up));
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            let last = curve.points.last().map_or(0.0, |point| point.1);
            let below = MARGIN + HEIGHT + 36.0 + f64::from(place) * 16.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{below:.1}\" fill=\"{colour}\">{} ({last:.1} at the right end)</text>",
                left + MARGIN,
                escape(&curve.name)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{} by {}</text>",
            left + MARGIN,
            MARGIN - 10.0,
            escape(name),
            escape(&self.below)
        );
    }
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], colour: &str, width: u8) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
