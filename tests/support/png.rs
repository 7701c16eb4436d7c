//! A PNG that lies.

/// The header of a PNG of 100,000 x 100,000 pixels, with a valid checksum, and no data.
pub(crate) fn huge_png() -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(100_000u32.to_be_bytes());
    header.extend(100_000u32.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0D".to_vec();
    png.extend(&header);
    png.extend(crc32(&header).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png.extend(crc32(b"IDAT").to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}
