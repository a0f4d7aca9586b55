package dump

import "portreeve.io/portreeve/internal/tcpstate"

// stateNames maps the states as printed by the tools and their translations, normalized by
// normalizeState: in capitals, without characters other than ASCII letters and digits. So
// ABHÖREN is the same in UTF-8, CP1252, CP850 and after a wrong conversion, and TIME_WAIT
// the same as TIME-WAIT and TimeWait. Other states are inferred from the rest of the line.
var stateNames = map[string]tcpstate.State{
	"LISTEN": tcpstate.Listen, "LISTENING": tcpstate.Listen,
	"ESTAB": tcpstate.Established, "ESTABLISHED": tcpstate.Established,
	"SYNSENT": tcpstate.SynSent, "SYNSEND": tcpstate.SynSent,
	"SYNRECV": tcpstate.SynRecv, "SYNRCVD": tcpstate.SynRecv, "SYNRECEIVED": tcpstate.SynRecv,
	"FINWAIT1": tcpstate.FinWait1, "FINWAIT2": tcpstate.FinWait2,
	"TIMEWAIT": tcpstate.TimeWait, "TIMEDWAIT": tcpstate.TimeWait,
	"CLOSE": tcpstate.Close, "CLOSED": tcpstate.Close, "UNCONN": tcpstate.Close, "DELETETCB": tcpstate.Close,
	"CLOSEWAIT": tcpstate.CloseWait, "LASTACK": tcpstate.LastAck, "CLOSING": tcpstate.Closing,
	"BOUND": tcpstate.Bound, "BOUNDINACTIVE": tcpstate.Bound,

	// Windows in German.
	"ABHREN": tcpstate.Listen, "ABHOEREN": tcpstate.Listen, // ABHÖREN
	"HERGESTELLT": tcpstate.Established, "WARTEND": tcpstate.TimeWait,
	"SCHLIESSENWARTEN": tcpstate.CloseWait, "SCHLIESSEND": tcpstate.Closing,
	"SYNGESENDET": tcpstate.SynSent, "SYNEMPFANGEN": tcpstate.SynRecv,
	"FINWARTEN1": tcpstate.FinWait1, "FINWARTEN2": tcpstate.FinWait2,
	// Windows in Spanish, Portuguese, Italian, French and Polish, as far as translated. Most
	// editions print the English words.
	"ESCUCHANDO": tcpstate.Listen, "ESTABLECIDO": tcpstate.Established,
	"ESCUTANDO": tcpstate.Listen, "ESTABELECIDO": tcpstate.Established,
	"INASCOLTO": tcpstate.Listen, "STABILITA": tcpstate.Established,
	"COUTE": tcpstate.Listen, "LCOUTE": tcpstate.Listen, "TABLI": tcpstate.Established, // ÉCOUTE, À L'ÉCOUTE, ÉTABLI
	"NASUCHIWANIE": tcpstate.Listen, "USTANOWIONO": tcpstate.Established, // NASŁUCHIWANIE

	// net-tools in German, Czech and Portuguese.
	"VERBUNDEN": tcpstate.Established,
	"SPOJENO":   tcpstate.Established, "ZAVEN": tcpstate.Close, "ZAVR": tcpstate.Closing, // ZAVŘEN, ZAVÍRÁ
	"POSLEDNACK": tcpstate.LastAck, "NASLOUCH": tcpstate.Listen, // POSLEDNÍ ACK, NASLOUCHÁ
	"ESTABELECIDA": tcpstate.Established, "OUA": tcpstate.Listen, "FECHAR": tcpstate.Close, // OUÇA
	"ESPERANDOFECHAR": tcpstate.CloseWait, "FECHANDO": tcpstate.Closing,
	"ESPERAFIN1": tcpstate.FinWait1, "ESPERAFIN2": tcpstate.FinWait2,
	"LTIMOACK": tcpstate.LastAck, "SYNRECEBIDO": tcpstate.SynRecv, "SYNENVIADO": tcpstate.SynSent, // ÚLTIMO_ACK
}

// maxStateName is longer than any of stateNames.
const maxStateName = 24

// parseState returns the state that a word means, or false if it is unknown.
func parseState(word []byte) (tcpstate.State, bool) {
	if s, ok := lookUpState(word); ok {
		return s, true
	}
	return completeState(word)
}

func lookUpState(word []byte) (tcpstate.State, bool) {
	if len(word) == 0 || isDigit(word[0]) {
		return 0, false
	}
	var buffer [maxStateName]byte
	s, ok := stateNames[string(normalizeState(buffer[:0], word))]
	return s, ok
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// normalizeState appends word as spelled in stateNames, truncated to maxStateName.
func normalizeState(to, word []byte) []byte {
	for _, b := range word {
		switch {
		case len(to) == maxStateName:
			return to
		case 'a' <= b && b <= 'z':
			to = append(to, b-'a'+'A')
		case 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
			to = append(to, b)
		}
	}
	return to
}

// completeState returns the state whose name begins with word, since the last line of a
// dump may be truncated.
func completeState(word []byte) (tcpstate.State, bool) {
	const minLength = 4
	var buffer [maxStateName]byte
	plain := normalizeState(buffer[:0], word)
	found := tcpstate.State(0)
	for whole, s := range stateNames {
		if len(plain) < minLength || len(whole) <= len(plain) || whole[:len(plain)] != string(plain) {
			continue
		}
		if found != 0 && found != s {
			return 0, false
		}
		found = s
	}
	return found, found != 0
}
