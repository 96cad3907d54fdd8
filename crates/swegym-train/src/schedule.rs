//! How the learning rate goes over the steps: warm-up, then one of three
//! shapes, as `transformers` computes them.

use std::f64::consts::PI;

/// The shape after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Half a cosine, down to the floor.
    #[default]
    Cosine,
    /// A line, down to the floor.
    Linear,
    /// The peak to the end.
    Constant,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::Linear, Self::Constant];

    /// By its name in settings.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == word)
    }

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Linear => "linear",
            Self::Constant => "constant",
        }
    }
}

/// A schedule over a known number of steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The rate after warm-up.
    pub peak: f64,
    /// The last rate, as a share of the peak.
    pub floor: f64,
    /// Steps until the peak.
    pub warmup: u64,
    /// All steps.
    pub steps: u64,
    /// What comes after warm-up.
    pub shape: Shape,
}

impl Schedule {
    /// The rate of a step, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * step as f64 / self.warmup as f64;
        }
        let rest = self.steps.saturating_sub(self.warmup).max(1);
        let done = ((step - self.warmup) as f64 / rest as f64).min(1.0);
        let share = match self.shape {
            Shape::Cosine => 0.5 * (1.0 + (PI * done).cos()),
            Shape::Linear => 1.0 - done,
            Shape::Constant => 1.0,
        };
        self.peak * (self.floor + (1.0 - self.floor) * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_warm_up_and_come_down() {
        let of = |shape| Schedule { peak: 2.0, floor: 0.0, warmup: 4, steps: 12, shape };
        let rates = |shape| [0, 2, 4, 8, 12].map(|step| of(shape).rate(step));
        assert_eq!(rates(Shape::Linear), [0.0, 1.0, 2.0, 1.0, 0.0]);
        assert_eq!(rates(Shape::Constant), [0.0, 1.0, 2.0, 2.0, 2.0]);
        let cosine = rates(Shape::Cosine);
        assert!((cosine[3] - 1.0).abs() < 1e-12 && cosine[4].abs() < 1e-12);
        assert_eq!(Schedule { floor: 0.1, ..of(Shape::Cosine) }.rate(99), 0.2);
    }
}
