//! Seals tokens side by side. Each block of CBC waits for the one before it, and so does each of SHA-256:
//! one token leaves most of a core idle, eight fill it. Keys and vectors come from outside.

use aes::{
    Aes128Enc, Block,
    cipher::{
        BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
        consts::U16,
    },
};
use base64_simd::{AsOut, URL_SAFE};
use zeroize::Zeroizing;

use super::{
    Expanded, HEADER, Iv, Piece, Sealed, VERSION,
    mac::{self, MacKey, State},
};

/// Tokens that are sealed at once: as many as fill the AES units of a core.
pub const LANES: usize = 8;

/// What a token of so many bytes takes as text.
fn text_length(piece: &Piece<'_>) -> usize {
    URL_SAFE.encoded_length(HEADER + padded(piece.head.len() + piece.data.len()) + MAC)
}

/// A token in the making.
struct Lane<'a> {
    /// The first bytes of plaintext, the head among them; those not yet used come before `data`.
    lead: Vec<[u8; STEP]>,
    led: usize,
    data: &'a [[u8; STEP]],
    /// What follows, already padded.
    last: [u8; STEP],
    last_length: usize,
    /// The ciphertext block before the next.
    chain: Block,
    mac: Zeroizing<State>,
    /// Blocks that the MAC has taken.
    signed: usize,
    window: &'a mut Window,
    /// Steps whose ciphertext is in the window.
    steps: usize,
    /// Where the text goes that is not yet made.
    text: &'a mut [u8],
}

/// Raw bytes of a token, a few KiB at a time: what they begin with is signed up to the last [`HEADER`].
pub(super) type Window = [u8; STEPS * STEP + STEP];

impl<'a> Lane<'a> {
    /// Begins a token whose text is to fill `text`.
    fn new(
        piece: &Piece<'a>,
        now: u64,
        iv: &Iv,
        mac: &MacKey,
        window: &'a mut Window,
        text: &'a mut [u8],
    ) -> Self {
        write(window, 0, &[VERSION]);
        write(window, 1, &now.to_be_bytes());
        write(window, 9, iv);
        let (lead, head, data) = lead(piece.head, piece.data);
        let (data, end) = data.as_chunks();
        let (last, last_length) = pad(head, end);
        Self {
            lead,
            led: 0,
            data,
            last,
            last_length,
            chain: (*iv).into(),
            mac: mac.begin(),
            signed: 0,
            window,
            steps: 0,
            text,
        }
    }

    /// What comes next of the plaintext that lies in one place.
    fn input(&self) -> &[[u8; STEP]] {
        match self.lead.get(self.led..) {
            Some(lead) if !lead.is_empty() => lead,
            _ => self.data,
        }
    }

    /// Steps that it can go before it must be looked after.
    fn ahead(&self) -> usize {
        self.input().len().min(STEPS - self.steps)
    }

    fn track(&mut self) -> Track<'_> {
        let input = match self.lead.get(self.led..) {
            Some(lead) if !lead.is_empty() => lead,
            _ => self.data,
        };
        let window = self.window.get_mut(self.steps * STEP..);
        Track {
            input,
            chain: &mut self.chain,
            mac: &mut self.mac,
            window: window.unwrap_or_default(),
        }
    }

    fn advance(&mut self, steps: usize) {
        if self.led < self.lead.len() {
            self.led += steps;
        } else {
            self.data = self.data.get(steps..).unwrap_or_default();
        }
        self.steps += steps;
        self.signed += steps;
    }

    /// Makes text of a full window. Ends the token where there are no more steps; says whether there are.
    fn goes_on(&mut self, cipher: &Aes128Enc, key: &MacKey) -> bool {
        if self.steps == STEPS {
            self.encode(STEPS * STEP);
            self.window
                .copy_within(STEPS * STEP..STEPS * STEP + HEADER, 0);
            self.steps = 0;
        }
        let more = !self.input().is_empty();
        if !more {
            self.finish(cipher, key);
        }
        more
    }

    fn finish(&mut self, cipher: &Aes128Enc, key: &MacKey) {
        let (blocks, _) = self.last.as_chunks_mut::<16>();
        for block in blocks.iter_mut().take(self.last_length / 16) {
            xor(&mut self.chain, block);
            cipher.encrypt_block(&mut self.chain);
            *block = self.chain.into();
        }
        let begin = self.steps * STEP;
        let end = begin + HEADER + self.last_length;
        let last = self.last.get(..self.last_length).unwrap_or_default();
        write(self.window, begin + HEADER, last);
        let rest = self.window.get(begin..end).unwrap_or_default();
        let mac = key.finish(std::mem::take(&mut self.mac), self.signed, rest);
        write(self.window, end, &mac);
        self.encode(end + MAC);
    }

    /// Makes text of the first `length` bytes of the window.
    fn encode(&mut self, length: usize) {
        let raw = self.window.get(..length).unwrap_or_default();
        let text = std::mem::take(&mut self.text);
        let (made, rest) = text.split_at_mut(URL_SAFE.encoded_length(length));
        let _ = URL_SAFE.encode(raw, made.as_out());
        self.text = rest;
    }
}

/// Appends a token for each piece, with its vector, and `joint` between them.
pub(super) fn seal(
    keys: &Expanded,
    pieces: &[Piece<'_>],
    ivs: &[Iv],
    now: u64,
    joint: &[u8],
    out: &mut Sealed,
) {
    let more: usize = pieces
        .iter()
        .map(|piece| text_length(piece) + joint.len())
        .sum();
    let windows = out.windows.len().max(pieces.len());
    out.windows.resize(windows, [0; _]);

    let mut text = out.text.room(more - joint.len().min(more));
    let mut lanes = Vec::with_capacity(pieces.len());
    for ((piece, iv), window) in pieces.iter().zip(ivs).zip(&mut out.windows) {
        if !lanes.is_empty() {
            text = fill(text, joint);
        }
        let (room, rest) = text.split_at_mut(text_length(piece));
        lanes.push(Lane::new(piece, now, iv, &keys.sign, window, room));
        text = rest;
    }
    run(&keys.encrypt, &keys.sign, lanes);
}

/// Seals all lanes to their ends.
fn run(cipher: &Aes128Enc, key: &MacKey, mut lanes: Vec<Lane<'_>>) {
    while !lanes.is_empty() {
        let steps = lanes.iter().map(Lane::ahead).min().unwrap_or_default();
        if steps > 0 {
            let rest = stride::<LANES>(cipher, &mut lanes, steps);
            let rest = stride::<4>(cipher, rest, steps);
            let rest = stride::<2>(cipher, rest, steps);
            stride::<1>(cipher, rest, steps);
        }
        lanes.retain_mut(|lane| lane.goes_on(cipher, key));
    }
}

/// Takes as many lanes as come in groups of `N` so many steps on; gives the others.
fn stride<'l, 'a, const N: usize>(
    cipher: &Aes128Enc,
    lanes: &'l mut [Lane<'a>],
    steps: usize,
) -> &'l mut [Lane<'a>] {
    let (groups, rest) = lanes.as_chunks_mut::<N>();
    for group in groups {
        let tracks = group.each_mut().map(Lane::track);
        cipher.encrypt_with_backend(Stride { tracks, steps });
        for lane in group {
            lane.advance(steps);
        }
    }
    rest
}

/// What a lane uses while it takes steps.
struct Track<'a> {
    input: &'a [[u8; STEP]],
    chain: &'a mut Block,
    mac: &'a mut State,
    /// From the first byte that is not signed: it is [`HEADER`] bytes before the first that is not there.
    window: &'a mut [u8],
}

/// So many steps of `N` lanes. Run by the cipher where its instructions can be used without asking each time.
struct Stride<'a, const N: usize> {
    tracks: [Track<'a>; N],
    steps: usize,
}

impl<const N: usize> BlockSizeUser for Stride<'_, N> {
    type BlockSize = U16;
}

impl<const N: usize> BlockCipherEncClosure for Stride<'_, N> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        let mut chains: [Block; N] = std::array::from_fn(|n| {
            self.tracks
                .get(n)
                .map_or_else(Block::default, |track| *track.chain)
        });
        for step in 0..self.steps {
            encrypt(backend, &mut self.tracks, &mut chains, step);
            for track in &mut self.tracks {
                let signed = track.window.get(step * STEP..).unwrap_or_default();
                if let Some(block) = signed.first_chunk() {
                    mac::absorb(track.mac, std::slice::from_ref(block));
                }
            }
        }
        for (track, chain) in self.tracks.iter_mut().zip(chains) {
            *track.chain = chain;
        }
    }
}

/// Encrypts one step of each lane into its window.
#[inline(always)]
fn encrypt<const N: usize, B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    tracks: &mut [Track<'_>; N],
    chains: &mut [Block; N],
    step: usize,
) {
    for part in 0..STEP / 16 {
        for (track, chain) in tracks.iter().zip(chains.iter_mut()) {
            let input = track.input.get(step).map(|step| step.as_chunks().0);
            if let Some(block) = input.and_then(|blocks| blocks.get(part)) {
                xor(chain, block);
            }
        }
        for chain in chains.iter_mut() {
            backend.encrypt_block(chain.into());
        }
        for (track, chain) in tracks.iter_mut().zip(chains.iter()) {
            write(track.window, HEADER + step * STEP + part * 16, chain);
        }
    }
}

#[inline(always)]
fn xor(block: &mut Block, other: &[u8; 16]) {
    let sum = u128::from_ne_bytes((*block).into()) ^ u128::from_ne_bytes(*other);
    *block = sum.to_ne_bytes().into();
}

#[inline(always)]
fn write(window: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = window.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Begins `text` with `joint`; gives what is behind it.
fn fill<'t>(text: &'t mut [u8], joint: &[u8]) -> &'t mut [u8] {
    let (gap, rest) = text.split_at_mut(joint.len());
    gap.copy_from_slice(joint);
    rest
}

/// The head of a token filled up with data to whole steps; then what is left of the head, where the token is
/// shorter than that, and of the data.
fn lead<'a>(head: &'a [u8], data: &'a [u8]) -> (Vec<[u8; STEP]>, &'a [u8], &'a [u8]) {
    let fill = head.len().next_multiple_of(STEP) - head.len();
    let Some((first, data)) = data.split_at_checked(fill) else {
        let (whole, head) = head.as_chunks();
        return (whole.to_vec(), head, data);
    };
    let mut lead = vec![[0; STEP]; (head.len() + fill) / STEP];
    write(lead.as_flattened_mut(), 0, head);
    write(lead.as_flattened_mut(), head.len(), first);
    (lead, &[], data)
}

/// The end of a plaintext, below one step long, with the padding of PKCS #7.
fn pad(head: &[u8], data: &[u8]) -> ([u8; STEP], usize) {
    let length = head.len() + data.len();
    let padded = padded(length);
    let mut last = [(padded - length) as u8; STEP];
    write(&mut last, 0, head);
    write(&mut last, head.len(), data);
    (last, padded)
}

fn padded(plain: usize) -> usize {
    (plain / 16 + 1) * 16
}

/// Bytes that a lane takes at a time: one block of SHA-256, four of AES.
const STEP: usize = mac::BLOCK;
/// Steps of a window, whose text needs no padding: the windows of all lanes stay in the nearest cache.
const STEPS: usize = 48;
const MAC: usize = 32;
