package sysctlconf

import (
	"path"
	"slices"
	"strings"
)

// procSys is the folder whose files are the sysctls.
const procSys = "/proc/sys/"

// assignment is a value that a command of a script sets.
type assignment struct {
	key, value string
	// onNode means that the command runs in the network of process 1.
	onNode bool
}

// logicalLine is a line with its continuations, and the index of its first line.
type logicalLine struct {
	text  string
	index int
}

// joinContinued joins lines that end in a backslash with the next one.
func joinContinued(text string) (all []logicalLine) {
	index, start, joined := 0, 0, ""
	for raw := range strings.Lines(text) {
		raw = strings.TrimRight(raw, "\r\n")
		if joined == "" {
			start = index
		}
		index++
		if rest, isContinued := strings.CutSuffix(raw, `\`); isContinued {
			joined += rest + " "
			continue
		}
		all = append(all, logicalLine{joined + raw, start})
		joined = ""
	}
	if joined != "" {
		all = append(all, logicalLine{joined, start})
	}
	return all
}

// isScript reports whether text is a shell script: a command of it sets a sysctl, or its
// first line names its interpreter.
func isScript(text string) bool {
	return strings.HasPrefix(text, "#!") || slices.ContainsFunc(joinContinued(text), func(l logicalLine) bool {
		return len(parseCommands(l.text)) > 0
	})
}

// parseCommands returns the sysctls that a line of a script sets: with sysctl, with docker
// run --sysctl, or by writing to a file below /proc/sys.
func parseCommands(line string) (all []assignment) {
	if !strings.Contains(line, "sysctl") && !strings.Contains(line, procSys) {
		return nil
	}
	output := "" // of the previous command, if a pipe follows it
	for _, c := range splitCommands(line) {
		set := c.parseSysctl()
		if c.target == "" && c.input == "" {
			c.input = output
		}
		set = append(set, c.parseRedirection()...)
		for i := range set {
			set[i].onNode = c.entersNode()
		}
		all = append(all, set...)
		output = ""
		if c.isPiped {
			output = c.printedText()
		}
	}
	return all
}

// command is one command of a line.
type command struct {
	words []string
	// target is the file that its output is written to, input the text of <<<.
	target, input string
	isPiped       bool
}

// findProgram returns the arguments after the program of that name, which may follow
// another one such as sudo or nsenter.
func (c command) findProgram(name string) (args []string, found bool) {
	i := slices.IndexFunc(c.words, func(w string) bool { return path.Base(w) == name })
	if i < 0 {
		return nil, false
	}
	return c.words[i+1:], true
}

func (c command) parseSysctl() (all []assignment) {
	args, _ := c.findProgram("sysctl")
	for i, w := range c.words {
		if value, ok := strings.CutPrefix(w, "--sysctl="); ok {
			args = append(args, value)
		} else if w == "--sysctl" && i+1 < len(c.words) {
			args = append(args, c.words[i+1])
		}
	}
	for _, arg := range args {
		key, value, isSet := strings.Cut(arg, "=")
		if isSet && !strings.HasPrefix(arg, "--") {
			value, _ = trimQuotes(value)
			all = append(all, assignment{key: key, value: value})
		}
	}
	return all
}

// parseRedirection returns the assignment of a command that writes text to a file below
// /proc/sys, as echo with > or tee does.
func (c command) parseRedirection() (all []assignment) {
	if strings.HasPrefix(c.target, procSys) {
		return []assignment{{key: c.target, value: c.printedText()}}
	}
	args, _ := c.findProgram("tee")
	for _, arg := range args {
		if strings.HasPrefix(arg, procSys) && c.input != "" {
			all = append(all, assignment{key: arg, value: c.input})
		}
	}
	return all
}

// printedText returns the text that echo or printf prints.
func (c command) printedText() string {
	args, isEcho := c.findProgram("echo")
	if !isEcho {
		args, _ = c.findProgram("printf")
	}
	args = slices.DeleteFunc(slices.Clone(args), func(w string) bool { return w == "-n" || w == "-e" })
	return strings.ReplaceAll(strings.TrimSuffix(strings.Join(args, " "), `\n`), `\t`, " ")
}

// entersNode reports whether the command runs in the network of the node's process 1.
func (c command) entersNode() bool {
	args, ok := c.findProgram("nsenter")
	return ok && strings.Contains(" "+strings.Join(args, " ")+" ", "1 ") || ok && slices.ContainsFunc(args, func(w string) bool {
		return strings.Contains(w, "/proc/1/ns/net")
	})
}

// splitCommands splits a line of a script into commands, and each into words without
// quotes. It knows no expansion: a word with a $ stays as it is.
func splitCommands(line string) (all []command) {
	s := commandSplitter{}
	for i := 0; i < len(line); {
		i += s.readToken(line[i:])
	}
	s.endCommand(false)
	return s.all
}

// commandSplitter collects commands.
type commandSplitter struct {
	all     []command
	current command
	// into is the field that the next word sets instead of words.
	into *string
}

// readToken reads the token at the start of rest, which is not empty, and returns its
// length.
func (s *commandSplitter) readToken(rest string) int {
	switch {
	case rest[0] == ' ' || rest[0] == '\t':
		return 1
	case rest[0] == '#':
		return len(rest)
	case strings.HasPrefix(rest, "<<<"):
		s.into = &s.current.input
		return 3
	case strings.HasPrefix(rest, ">>"):
		s.into = &s.current.target
		return 2
	case rest[0] == '>':
		s.into = &s.current.target
		return 1
	case strings.HasPrefix(rest, "||"), strings.HasPrefix(rest, "&&"):
		s.endCommand(false)
		return 2
	case strings.ContainsRune(";&|(){}<", rune(rest[0])):
		s.endCommand(rest[0] == '|')
		return 1
	}
	word, length := readWord(rest)
	if s.into != nil {
		*s.into, s.into = word, nil
	} else {
		s.current.words = append(s.current.words, word)
	}
	return length
}

func (s *commandSplitter) endCommand(isPiped bool) {
	if len(s.current.words) > 0 {
		s.current.isPiped = isPiped
		s.all = append(s.all, s.current)
	}
	s.current, s.into = command{}, nil
}

// readWord returns the word at the start of rest without its quotes, and its length in
// rest.
func readWord(rest string) (word string, length int) {
	var b strings.Builder
	quote := byte(0) // the character that ends the quoted part
	i := 0
	for ; i < len(rest); i++ {
		switch c := rest[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote = c
		case c == '$' && strings.HasPrefix(rest[i:], "${"):
			length := strings.IndexByte(rest[i:], '}') + 1
			if length == 0 {
				length = len(rest) - i
			}
			b.WriteString(rest[i : i+length])
			i += length - 1
		case c == '\\' && i+1 < len(rest):
			i++
			b.WriteByte(rest[i])
		case strings.IndexByte(" \t;&|(){}<>", c) >= 0:
			return b.String(), max(i, 1)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), i
}
