// Lint rules: typescript-eslint's recommended set, and no way to turn data into markup or code.
import tseslint from "typescript-eslint";

const forbidden = ["innerHTML", "outerHTML", "insertAdjacentHTML"].map((name) => ({
  selector: `MemberExpression[property.name="${name}"]`,
  message: "Text goes in as text (textContent): names come from strangers' models.",
}));

export default tseslint.config(...tseslint.configs.recommended, {
  files: ["src/**/*.ts", "test/**/*.ts"],
  rules: {
    "no-eval": "error",
    "no-implied-eval": "error",
    "no-new-func": "error",
    "no-restricted-syntax": [
      "error",
      ...forbidden,
      { selector: 'CallExpression[callee.object.name="document"][callee.property.name="write"]', message: "Never." },
      { selector: "ImportExpression", message: "One file per widget: nothing is loaded later." },
    ],
    "@typescript-eslint/no-non-null-assertion": "off",
  },
});
