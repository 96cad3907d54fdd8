//! One body, compiled for each set of vector instructions, chosen at run time.
//!
//! Bodies are `#[inline(always)]` and only use safe arithmetic; the same body
//! gives the same bits on every set, since nothing reorders sums for us.

/// Defines `$name`, which runs `$body` with the widest vectors there are.
macro_rules! widest {
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $body:ident ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)?) => {
        $(#[$doc])*
        #[expect(clippy::allow_attributes, reason = "how many arguments depends on the operator")]
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn wide($($arg: $type),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn middle($($arg: $type),*) $(-> $out)? {
                    $body($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has these instructions.
                    return unsafe { wide($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the processor has these instructions.
                    return unsafe { middle($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

pub(crate) use widest;
