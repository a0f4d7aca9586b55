package settings

import (
	"fmt"
	"strings"
)

// FormatSuggestion returns a recommended value as a part of a sentence, with the field of
// a NodeTuning: "net.ipv4.tcp_tw_reuse = 1 (NodeTuning linux.timeWait.reuse)".
func FormatSuggestion(os OS, key, value string) string {
	field := "linux.sysctls"
	if s, _ := Lookup(os, key); s.Field != "" {
		field = s.Field
	}
	if len(value) > longValue { // a list of ports, which must not be a single long word
		value = strings.ReplaceAll(value, ",", listSeparator)
	}
	return fmt.Sprintf("%s = %s%s%s)", shortenKey(key), value, suggestionField, field)
}

// longValue is the length from which a list is shown with listSeparator.
const (
	longValue     = 40
	listSeparator = ", "
)

// suggestionField separates the value of a suggestion from the field.
const suggestionField = " (NodeTuning "

// shortenKey returns a key without the path of the registry.
func shortenKey(key string) string { return key[strings.LastIndexByte(key, '\\')+1:] }

// FindSuggestions returns the values that FormatSuggestion has put into text, by key.
// Values that the catalogue does not allow are left out.
func FindSuggestions(os OS, text string) map[string]string {
	found := map[string]string{}
	for _, s := range All() {
		_, rest, isNamed := strings.Cut(" "+text, " "+shortenKey(s.Key)+" = ")
		value, _, isSuggestion := strings.Cut(rest, suggestionField)
		value = strings.ReplaceAll(value, listSeparator, ",")
		if s.OS == os && isNamed && isSuggestion && s.CheckValue(value) == nil {
			found[s.Key] = value
		}
	}
	return found
}

// reservation separates a text from the ports to reserve.
const reservation = "; reserve "

// FormatReservation returns a text that ends in the ports to reserve.
func FormatReservation(text, ports string) string { return text + reservation + ports }

// FindReservation returns the ports that FormatReservation has put at the end of text, or ""
// if there are none or the end is missing.
func FindReservation(text string) string {
	i := strings.LastIndex(text, reservation)
	if i < 0 {
		return ""
	}
	list := text[i+len(reservation):]
	if (PortList{}).checkValue(list) != nil {
		return ""
	}
	return list
}
