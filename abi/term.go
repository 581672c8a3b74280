package abi

// Termios is the kernel's struct termios, what TCGETS and TCSETS pass. (x/sys/unix has libc's, which is longer.)
type Termios struct {
	Iflag uint32
	Oflag uint32
	Cflag uint32
	Lflag uint32
	Line  uint8
	Cc    [19]uint8
}

// Termios2 is struct termios2, what TCGETS2 and TCSETS2 pass: with free baud rates.
type Termios2 struct {
	Iflag  uint32
	Oflag  uint32
	Cflag  uint32
	Lflag  uint32
	Line   uint8
	Cc     [19]uint8
	Ispeed uint32
	Ospeed uint32
}

// Termio is struct termio, of System V: TCGETA and TCSETA.
type Termio struct {
	Iflag uint16
	Oflag uint16
	Cflag uint16
	Lflag uint16
	Line  uint8
	Cc    [8]uint8
	_     uint8
}

// Length of the c_cc arrays of Termios and Termio, and of baud rates.
const (
	NCCS = 0x13
	NCC  = 8
)
