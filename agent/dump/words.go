package dump

import "portreeve.io/portreeve/agent/socket"

// words are the states as tools and translations spell them, in capitals, without
// everything that is no letter or digit of ASCII: so ABHÖREN is the same in UTF-8,
// CP1252, CP850 and after a wrong conversion, and TIME_WAIT the same as TIME-WAIT
// and TimeWait. A word that is not here is told by what else the line says.
var words = map[string]socket.State{
	"LISTEN": socket.Listen, "LISTENING": socket.Listen,
	"ESTAB": socket.Established, "ESTABLISHED": socket.Established,
	"SYNSENT": socket.SynSent, "SYNSEND": socket.SynSent,
	"SYNRECV": socket.SynRecv, "SYNRCVD": socket.SynRecv, "SYNRECEIVED": socket.SynRecv,
	"FINWAIT1": socket.FinWait1, "FINWAIT2": socket.FinWait2,
	"TIMEWAIT": socket.TimeWait, "TIMEDWAIT": socket.TimeWait,
	"CLOSE": socket.Close, "CLOSED": socket.Close, "UNCONN": socket.Close, "DELETETCB": socket.Close,
	"CLOSEWAIT": socket.CloseWait, "LASTACK": socket.LastAck, "CLOSING": socket.Closing,
	"BOUND": socket.Bound, "BOUNDINACTIVE": socket.Bound,

	// Windows in German.
	"ABHREN": socket.Listen, "ABHOEREN": socket.Listen, // ABHÖREN
	"HERGESTELLT": socket.Established, "WARTEND": socket.TimeWait,
	"SCHLIESSENWARTEN": socket.CloseWait, "SCHLIESSEND": socket.Closing,
	"SYNGESENDET": socket.SynSent, "SYNEMPFANGEN": socket.SynRecv,
	"FINWARTEN1": socket.FinWait1, "FINWARTEN2": socket.FinWait2,
	// Windows in Spanish, Portuguese, Italian, French and Polish, where it is
	// translated: most editions show the English words.
	"ESCUCHANDO": socket.Listen, "ESTABLECIDO": socket.Established,
	"ESCUTANDO": socket.Listen, "ESTABELECIDO": socket.Established,
	"INASCOLTO": socket.Listen, "STABILITA": socket.Established,
	"COUTE": socket.Listen, "LCOUTE": socket.Listen, "TABLI": socket.Established, // ÉCOUTE, À L'ÉCOUTE, ÉTABLI
	"NASUCHIWANIE": socket.Listen, "USTANOWIONO": socket.Established, // NASŁUCHIWANIE

	// net-tools in German, Czech and Portuguese.
	"VERBUNDEN": socket.Established,
	"SPOJENO":   socket.Established, "ZAVEN": socket.Close, "ZAVR": socket.Closing, // ZAVŘEN, ZAVÍRÁ
	"POSLEDNACK": socket.LastAck, "NASLOUCH": socket.Listen, // POSLEDNÍ ACK, NASLOUCHÁ
	"ESTABELECIDA": socket.Established, "OUA": socket.Listen, "FECHAR": socket.Close, // OUÇA
	"ESPERANDOFECHAR": socket.CloseWait, "FECHANDO": socket.Closing,
	"ESPERAFIN1": socket.FinWait1, "ESPERAFIN2": socket.FinWait2,
	"LTIMOACK": socket.LastAck, "SYNRECEBIDO": socket.SynRecv, "SYNENVIADO": socket.SynSent, // ÚLTIMO_ACK
}

// maxWord is longer than any of words.
const maxWord = 24

// state is what a word means, false where it is unknown.
func state(word []byte) (socket.State, bool) {
	if s, ok := exact(word); ok {
		return s, true
	}
	return start(word)
}

func exact(word []byte) (socket.State, bool) {
	var buffer [maxWord]byte
	s, ok := words[string(fold(buffer[:0], word))]
	return s, ok
}

// fold appends word as words spells it; what is too long for any is cut.
func fold(to, word []byte) []byte {
	for _, b := range word {
		switch {
		case len(to) == maxWord:
			return to
		case 'a' <= b && b <= 'z':
			to = append(to, b-'a'+'A')
		case 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
			to = append(to, b)
		}
	}
	return to
}

// start tells a word that was cut off, as the last one of a dump may be.
func start(word []byte) (socket.State, bool) {
	const enough = 4
	var buffer [maxWord]byte
	plain := fold(buffer[:0], word)
	found := socket.State(0)
	for whole, s := range words {
		if len(plain) < enough || len(whole) <= len(plain) || whole[:len(plain)] != string(plain) {
			continue
		}
		if found != 0 && found != s {
			return 0, false
		}
		found = s
	}
	return found, found != 0
}
