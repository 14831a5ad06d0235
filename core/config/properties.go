package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Property is one key = value as somebody gave it.
type Property struct {
	Key, Value string
	Origin     string // where it comes from, for messages: "server.properties:12" or "--set"
}

const blanks = " \t\f"

// ParseProperties reads Java's properties format (java.util.Properties.load): key=value or key:value lines, # and ! comments, a
// backslash at the end of a line continues it. A key without a value, which Java takes for an empty one, is an error that names its
// line. name is for messages.
func ParseProperties(name, text string) ([]Property, error) {
	var props []Property
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		origin := fmt.Sprintf("%s:%d", name, i+1)
		line := natural(lines[i])
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue // a comment does not go on, whatever it ends in
		}
		for goesOn(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + natural(lines[i])
		}
		sep := separator(line)
		if sep < 1 {
			return nil, fmt.Errorf("%s: %q is not of the form key=value", origin, line)
		}
		props = append(props, Property{strings.TrimSpace(unescape(line[:sep])), strings.TrimSpace(unescape(line[sep+1:])), origin})
	}
	return props, nil
}

// natural is a line as it counts: without its end and the blanks before it.
func natural(line string) string {
	return strings.TrimLeft(strings.TrimSuffix(line, "\r"), blanks)
}

// goesOn reports whether a line ends in a backslash that is not itself escaped.
func goesOn(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// separator is where the first = or : is that is not escaped; -1 if there is none.
func separator(line string) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':':
			return i
		}
	}
	return -1
}

// unescape reads \t, \n, \r, \f and \uXXXX; any other character behind a backslash stands for itself. A backslash with nothing behind it,
// at the end of the file, is nothing.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break
		}
		if at := strings.IndexByte("tnrf", s[i]); at >= 0 {
			b.WriteByte("\t\n\r\f"[at])
		} else if r, ok := codeUnit(s[i:]); ok {
			b.WriteRune(r)
			i += len("uXXXX") - 1
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// codeUnit reads the uXXXX that s begins with.
func codeUnit(s string) (r rune, ok bool) {
	if len(s) < len("uXXXX") || s[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:len("uXXXX")], 16, 16)
	return rune(n), err == nil
}
