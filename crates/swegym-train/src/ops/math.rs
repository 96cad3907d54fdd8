//! Arithmetic on slices that compilers turn into vectors.
//!
//! Sums run in sixteen lanes of our own, since float sums may not be
//! reordered by anyone else. Everything is inlined into the operator that
//! calls it, and so compiled for its instructions.

const LANES: usize = 16;

/// `e^x`, within 2e-7 of the truth between -87 and 88, and clamped outside.
/// Without branches or casts that saturate, which no compiler vectorises.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding it rounds to a whole number and leaves that in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    // ln 2 in two parts, so that the first product is exact.
    let rest = whole.mul_add(-0.693_359_4, x);
    let rest = whole.mul_add(2.121_944_4e-4, rest);
    let series = 1.987_569_1e-4_f32
        .mul_add(rest, 1.398_199_9e-3)
        .mul_add(rest, 8.333_452e-3)
        .mul_add(rest, 4.166_579_6e-2)
        .mul_add(rest, 1.666_666_5e-1)
        .mul_add(rest, 0.5);
    let power = (series * rest).mul_add(rest, rest + 1.0);
    f32::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The sum of products.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut lanes = [0f32; LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in (&mut left).zip(&mut right) {
        for lane in 0..LANES {
            lanes[lane] = x[lane].mul_add(y[lane], lanes[lane]);
        }
    }
    let mut total = 0f32;
    for (x, y) in left.remainder().iter().zip(right.remainder()) {
        total = x.mul_add(*y, total);
    }
    total + sum_lanes(&lanes)
}

/// The largest number, `f32::MIN` of none.
#[inline(always)]
pub(crate) fn largest(a: &[f32]) -> f32 {
    let mut lanes = [f32::MIN; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder();
    for x in chunks {
        for lane in 0..LANES {
            lanes[lane] = if x[lane] > lanes[lane] { x[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().chain(rest).fold(f32::MIN, |most, &x| if x > most { x } else { most })
}

/// Replaces each number by `e^(number - shift)` and returns their sum.
#[inline(always)]
pub(crate) fn exp_sum(a: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = a.chunks_exact_mut(LANES);
    for x in &mut chunks {
        for lane in 0..LANES {
            let power = exp(x[lane] - shift);
            x[lane] = power;
            lanes[lane] += power;
        }
    }
    let mut total = 0f32;
    for x in chunks.into_remainder() {
        *x = exp(*x - shift);
        total += *x;
    }
    total + sum_lanes(&lanes)
}

/// The sum of `e^(number - shift)`, in the order of [`exp_sum`].
#[inline(always)]
pub(crate) fn sum_exp(a: &[f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder();
    for x in chunks {
        for lane in 0..LANES {
            lanes[lane] += exp(x[lane] - shift);
        }
    }
    rest.iter().fold(0f32, |total, &x| total + exp(x - shift)) + sum_lanes(&lanes)
}

#[inline(always)]
fn sum_lanes(lanes: &[f32; LANES]) -> f32 {
    let mut half = [0f32; LANES / 2];
    for lane in 0..LANES / 2 {
        half[lane] = lanes[lane] + lanes[lane + LANES / 2];
    }
    half.iter().sum()
}

/// Multiplies each number.
#[inline(always)]
pub(crate) fn scale(a: &mut [f32], factor: f32) {
    for x in a {
        *x *= factor;
    }
}

/// Adds number by number.
#[inline(always)]
pub(crate) fn add(a: &mut [f32], b: &[f32]) {
    for (x, y) in a.iter_mut().zip(b) {
        *x += y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_near_the_truth_everywhere() {
        for step in -8700..=8800 {
            let x = step as f32 / 100.0;
            let truth = f64::from(x).exp();
            let error = (f64::from(exp(x)) - truth).abs() / truth;
            assert!(error < 3e-7, "exp({x}) is off by {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1000.0) < 1e-37 && exp(-1000.0) >= 0.0);
    }

    #[test]
    fn sums_agree_with_doubles() {
        let a: Vec<f32> = (0..1003).map(|i| (i as f32 * 0.37).sin()).collect();
        let truth: f64 = a.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        assert!((f64::from(dot(&a, &a)) - truth).abs() < 1e-3);
        let mut b = a.clone();
        assert_eq!(sum_exp(&a, 0.5).to_bits(), exp_sum(&mut b, 0.5).to_bits());
        assert_eq!(largest(&a), a.iter().copied().fold(f32::MIN, f32::max));
    }
}
