/** What the page's sources may not do. Formatting is Biome's business (biome.json), types are tsc's business. */
import tseslint from "typescript-eslint";

const TEXT = "Text goes in as text: use textContent, append or createElement.";
const OWN = "The page may live in a shadow root: stay inside the element that the host gave.";

export default tseslint.config(
  { ignores: ["node_modules/**", "coverage/**"] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ["*.mjs", "*.config.ts"] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      eqeqeq: ["error", "always"],
      "no-var": "error",
      "prefer-const": "error",
      "no-eval": "error",
      "no-new-func": "error",
      "no-implied-eval": "error",
      "no-script-url": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      "no-console": ["error", { allow: ["warn", "error"] }],
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc", "createContextualFragment"].map((property) => ({
          property,
          message: TEXT,
        })),
        { object: "document", property: "write", message: TEXT },
        { object: "document", property: "writeln", message: TEXT },
        ...["head", "body", "querySelector", "querySelectorAll", "getElementById"].map((property) => ({
          object: "document",
          property,
          message: OWN,
        })),
      ],
      "no-restricted-globals": ["error", "fetch", "XMLHttpRequest", "WebSocket", "localStorage", "sessionStorage"],
      "no-restricted-syntax": [
        "error",
        {
          selector: "CallExpression[callee.property.name='save_changes']",
          message: "The page never sets state: send a request.",
        },
        { selector: "ImportExpression", message: "anywidget loads one file: import statically." },
      ],
    },
  },
  { files: ["**/*.mjs"], ...tseslint.configs.disableTypeChecked },
);
