//! Kubernetes' quantities: `500m`, `1.5`, `128Mi`, `1e3`.

/// A quantity in thousandths of its unit, rounded up as Kubernetes rounds.
///
/// `None` if the text isn't a quantity, or is too large for one (more than 2^63 - 1).
pub fn parse_milli(text: &str) -> Option<i128> {
    scaled(text, 1_000)
}

/// A quantity of CPUs in billionths, as Docker counts them.
pub fn nano_cpus(text: &str) -> Option<i64> {
    i64::try_from(scaled(text, 1_000_000_000)?).ok()
}

/// A quantity of memory in bytes, rounded up.
pub fn bytes(text: &str) -> Option<i64> {
    i64::try_from(scaled(text, 1)?).ok()
}

/// The quantity times `scale`, rounded away from zero.
fn scaled(text: &str, scale: i128) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (numerator, denominator) = factor(suffix)?;

    // More digits than these can't be told apart in a quantity, which has 19 in all.
    if whole.trim_start_matches('0').len() > 20 {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(12)];
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let denominator = denominator.checked_mul(10_i128.checked_pow(length(fraction)?)?)?;
    let product = digits.checked_mul(numerator)?;
    if product / denominator > i128::from(i64::MAX) {
        return None;
    }
    let product = product.checked_mul(scale)?;
    let rounded = product / denominator + i128::from(product % denominator != 0);
    Some(if negative { -rounded } else { rounded })
}

/// The factor of a suffix as a fraction.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

fn length(text: &str) -> Option<u32> {
    u32::try_from(text.len()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        assert_eq!(parse_milli("500m"), Some(500));
        assert_eq!(parse_milli("1.5"), Some(1_500));
        assert_eq!(parse_milli(".5"), Some(500));
        assert_eq!(parse_milli("1."), Some(1_000));
        assert_eq!(parse_milli("-2"), Some(-2_000));
        assert_eq!(parse_milli("1e3"), Some(1_000_000));
        assert_eq!(parse_milli("0.0001"), Some(1));
        assert_eq!(bytes("128Mi"), Some(128 << 20));
        assert_eq!(bytes("1G"), Some(1_000_000_000));
        assert_eq!(bytes("1.5Gi"), Some(1_610_612_736));
        assert_eq!(bytes("1500m"), Some(2));
        assert_eq!(nano_cpus("250m"), Some(250_000_000));
        assert_eq!(nano_cpus("2"), Some(2_000_000_000));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for wrong in
            ["", "x", "1 Gi", "1gb", "1MB", ".", "-", "1..2", "1e", "10E", "1e99", "--1", "1_000"]
        {
            assert_eq!(parse_milli(wrong), None, "{wrong}");
        }
    }
}
