// How cards look: the measures and colours of Teams' light theme, by eye.

const colour = (normal, subtle) => ({ default: normal, subtle: subtle ?? normal });
const colours = {
  default: colour("#242424", "#616161"),
  dark: colour("#242424", "#616161"),
  light: colour("#ffffff", "#d6d6d6"),
  accent: colour("#5b5fc7", "#7f85f5"),
  good: colour("#0e700e", "#107c10"),
  warning: colour("#835b00", "#8f6a00"),
  attention: colour("#b10e1c", "#c4314b"),
};
const container = (backgroundColor) => ({ backgroundColor, foregroundColors: colours });

const fontFamily = '"Segoe UI", "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif';

export const hostConfig = {
  fontFamily,
  fontTypes: {
    default: {
      fontFamily,
      fontSizes: { small: 12, default: 14, medium: 15, large: 18, extraLarge: 22 },
      fontWeights: { lighter: 300, default: 400, bolder: 600 },
    },
    monospace: {
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", monospace',
      fontSizes: { small: 11, default: 13, medium: 14, large: 16, extraLarge: 20 },
      fontWeights: { lighter: 300, default: 400, bolder: 600 },
    },
  },
  spacing: { small: 4, default: 8, medium: 12, large: 18, extraLarge: 26, padding: 16 },
  separator: { lineThickness: 1, lineColor: "#e3e3e8" },
  supportsInteractivity: true,
  containerStyles: {
    default: container("#ffffff"),
    emphasis: container("#f4f4f7"),
    good: container("#e7f4e7"),
    warning: container("#fdf6e3"),
    attention: container("#fdf0f1"),
    accent: container("#e8ebfa"),
  },
  actions: {
    maxActions: 6, spacing: "default", buttonSpacing: 8, actionsOrientation: "horizontal",
    actionAlignment: "left", showCard: { actionMode: "inline", inlineTopMargin: 12 },
  },
  adaptiveCard: { allowCustomStyle: false },
  factSet: {
    title: { color: "default", isSubtle: true, weight: "default", wrap: true, maxWidth: 160 },
    value: { wrap: true },
    spacing: 12,
  },
  inputs: {
    label: {
      inputSpacing: "small",
      requiredInputs: { weight: "bolder", suffix: " *", suffixColor: "attention" },
      optionalInputs: { weight: "bolder" },
    },
    errorMessage: { color: "attention", spacing: "small" },
  },
};
