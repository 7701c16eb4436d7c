//! Numbers and texts in a row of bytes, as `Wire.kt` writes and reads them too: little-endian, each at once behind the
//! last, a text and a list behind their length. Every message begins with [`VERSION`].

use crate::failure::Failure;

/// Grows with every change of any message: both halves of the library are of one build.
pub(crate) const VERSION: u8 = 1;

/// A message on its way in.
pub(crate) struct Reader<'a>(&'a [u8]);

/// A message on its way out.
pub(crate) struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Reader<'a> {
    /// # Errors
    /// If the message is of another build.
    pub(crate) fn new(message: &'a [u8]) -> Result<Self, Failure> {
        let mut reader = Self(message);
        match reader.u8()? {
            VERSION => Ok(reader),
            other => Err(Failure::other_build(format!(
                "a message of version {other}, not {VERSION}"
            ))),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Failure> {
        self.take().map(u8::from_le_bytes)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Failure> {
        Ok(self.u8()? != 0)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Failure> {
        self.take().map(i32::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Failure> {
        self.take().map(i64::from_le_bytes)
    }

    pub(crate) fn f32(&mut self) -> Result<f32, Failure> {
        self.take().map(f32::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Failure> {
        self.take().map(f64::from_le_bytes)
    }

    /// A length, which no more bytes follow than there are.
    fn length(&mut self) -> Result<usize, Failure> {
        let length = usize::try_from(self.i32()?).map_err(|_| cut_short())?;
        if length > self.0.len() {
            return Err(cut_short());
        }
        Ok(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Failure> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        str::from_utf8(text).map_err(|_| Failure::other_build("a text that is not UTF-8"))
    }

    /// What `read` reads, unless it was left out.
    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        match self.bool()? {
            true => read(self).map(Some),
            false => Ok(None),
        }
    }

    /// As many of what `read` reads as there are; each takes a byte at least.
    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let length = self.length()?;
        (0..length).map(|_| read(self)).collect()
    }
}

impl<'a> Writer<'a> {
    /// A message in place of what `buffer` holds.
    pub(crate) fn new(buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        let mut writer = Self(buffer);
        writer.u8(VERSION);
        writer
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// A number that Java's `int` holds; any larger one is its largest.
    pub(crate) fn count(&mut self, value: usize) {
        self.i32(i32::try_from(value).unwrap_or(i32::MAX));
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number that Java's `long` holds; any larger one is its largest.
    pub(crate) fn u64(&mut self, value: u64) {
        self.i64(i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// NaN stands for none.
    pub(crate) fn f32(&mut self, value: Option<f32>) {
        self.0
            .extend_from_slice(&value.unwrap_or(f32::NAN).to_le_bytes());
    }

    /// NaN stands for none.
    pub(crate) fn f64(&mut self, value: Option<f64>) {
        self.0
            .extend_from_slice(&value.unwrap_or(f64::NAN).to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.count(items.len());
        for item in items {
            write(self, item);
        }
    }
}

fn cut_short() -> Failure {
    Failure::other_build("a message that is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = vec![9; 3];
        let mut writer = Writer::new(&mut bytes);
        writer.bool(true);
        writer.i32(-2);
        writer.u64(u64::MAX);
        writer.f32(Some(0.5));
        writer.f32(None);
        writer.f64(Some(0.25));
        writer.text("größer als \u{1F30D}");
        writer.list(["a", ""].iter(), |writer, text| writer.text(text));

        let mut reader = Reader::new(&bytes).ok().unwrap();
        assert!(reader.bool().ok().unwrap());
        assert_eq!(reader.i32().ok(), Some(-2));
        assert_eq!(reader.i64().ok(), Some(i64::MAX));
        assert_eq!(reader.f32().ok(), Some(0.5));
        assert!(reader.f32().ok().unwrap().is_nan());
        assert_eq!(reader.f64().ok(), Some(0.25));
        assert_eq!(reader.text().ok(), Some("größer als \u{1F30D}"));
        assert_eq!(reader.list(|reader| reader.text()).ok().unwrap(), ["a", ""]);
        assert!(reader.u8().is_err());
    }

    #[test]
    fn a_message_of_another_build_is_refused() {
        for message in [&b""[..], &[VERSION + 1]] {
            assert!(Reader::new(message).is_err());
        }
        // A text of more bytes than follow, and of a negative number of them.
        for length in [5_i32, -1] {
            let message = [&[VERSION][..], &length.to_le_bytes(), b"four"].concat();
            assert!(Reader::new(&message).ok().unwrap().text().is_err());
        }
    }
}
