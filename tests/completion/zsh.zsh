# Types `$1` and a tab into an interactive zsh at a terminal, and prints what it shows.
zmodload zsh/zpty
zmodload zsh/zselect
zpty shell zsh -f -i
zpty -w shell "PROMPT='%% '; autoload -U compinit; compinit -u -D; source <(oceanid completions zsh); print REA''DY"
until zpty -r -m shell line '*READY*'; do :; done
zpty -w -n shell "$1"$'\t'
# It has shown everything when it is quiet for a second.
quiet=0
while (( quiet < 20 )); do
  if zpty -r -t shell line; then print -rn -- $line; quiet=0; else zselect -t 5; (( quiet += 1 )); fi
done
zpty -d shell
