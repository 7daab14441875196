/** Support: reads the page's sources as TypeScript does, for the tests of its languages. No tests here. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "src");

export interface Found {
  file: string;
  line: number;
  text: string;
}

export interface Source {
  file: string;
  tree: ts.SourceFile;
}

/** All sources but the tables of translations. */
export function sources(): Source[] {
  const files = readdirSync(ROOT, { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !/language[/\\]chinese/.test(name),
  );
  return files.sort().map((name) => parse(name, readFileSync(join(ROOT, name), "utf8")));
}

export function parse(file: string, code: string): Source {
  return { file, tree: ts.createSourceFile(file, code, ts.ScriptTarget.ES2022, true) };
}

/** What is handed to t() and tn(): their literals, and the places where it is none. */
export function gathered({ file, tree }: Source): { texts: Found[]; odd: Found[] } {
  const [texts, odd]: [Found[], Found[]] = [[], []];
  walk(tree, (node) => {
    if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression)) return;
    const name = node.expression.text;
    const wanted = name === "t" ? node.arguments.slice(0, 1) : name === "tn" ? node.arguments.slice(1, 3) : [];
    for (const argument of wanted) (ts.isStringLiteral(argument) ? texts : odd).push(place(file, tree, argument));
  });
  return { texts, odd };
}

const SPOKEN_ATTRIBUTES = new Set([
  "title",
  "aria-label",
  "placeholder",
  "alt",
  "aria-description",
  "aria-valuetext",
  "aria-roledescription",
]);
const SPOKEN_PROPERTIES = new Set(["textContent", "title", "placeholder", "innerText", "alt", "ariaLabel"]);
const LETTERS = /\p{L}{2,}/u;
const PROSE = /\p{L}{2,}[,;:]? \p{L}{2,}/u;
const WORD_BESIDE_A_VALUE = /(\s(?!px|kB)\p{L}{2,}(\s|$))|(^(?!px|kB)\p{L}{2,}\s)/u; // units are the same everywhere

/**
 * Literals that a person may read and that are not handed to t(): the children of h(), fill() and append(), the attributes that
 * are read out, what is announced, said or painted; and anywhere else literals that are prose, such as a constant's.
 */
export function unspoken({ file, tree }: Source): Found[] {
  const found = new Map<ts.Node, Found>();
  const add = (node: ts.Node): void => void found.set(node, place(file, tree, node));
  const read = (node: ts.Expression | undefined): void => {
    if (node) for (const literal of literals(node)) if (LETTERS.test(literal.text)) add(literal);
  };
  walk(tree, (node) => {
    if (ts.isCallExpression(node)) {
      const name = callee(node);
      if (name === "h") node.arguments.slice(2).forEach(read);
      if (name === "fill" || name === "append" || name === "say") node.arguments.slice(1).forEach(read);
      if (name === "announce" || name === "fillText") read(node.arguments[0]);
      const attribute = node.arguments[0];
      if (
        name === "setAttribute" &&
        attribute &&
        ts.isStringLiteral(attribute) &&
        SPOKEN_ATTRIBUTES.has(attribute.text)
      )
        read(node.arguments[1]);
    } else if (
      ts.isPropertyAssignment(node) &&
      (ts.isIdentifier(node.name) || ts.isStringLiteral(node.name)) &&
      SPOKEN_ATTRIBUTES.has(node.name.text)
    ) {
      read(node.initializer);
    } else if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind === ts.SyntaxKind.EqualsToken &&
      ts.isPropertyAccessExpression(node.left) &&
      SPOKEN_PROPERTIES.has(node.left.name.text)
    ) {
      read(node.right);
    } else if (
      isText(node) &&
      (PROSE.test(node.text) || (!ts.isStringLiteralLike(node) && WORD_BESIDE_A_VALUE.test(node.text))) &&
      !isSilent(node)
    )
      add(node);
  });
  return [...found.values()];
}

type Text = ts.StringLiteral | ts.NoSubstitutionTemplateLiteral | ts.TemplateHead | ts.TemplateMiddle | ts.TemplateTail;

function isText(node: ts.Node): node is Text {
  return (
    ts.isStringLiteral(node) ||
    ts.isNoSubstitutionTemplateLiteral(node) ||
    ts.isTemplateHead(node) ||
    ts.isTemplateMiddle(node) ||
    ts.isTemplateTail(node)
  );
}

/** The literals that an expression may come to. What is inside calls, comparisons and functions is somebody else's. */
function literals(node: ts.Node): Text[] {
  if (isText(node)) return [node];
  if (ts.isParenthesizedExpression(node) || ts.isSpreadElement(node) || ts.isAsExpression(node))
    return literals(node.expression);
  if (ts.isConditionalExpression(node)) return [...literals(node.whenTrue), ...literals(node.whenFalse)];
  if (ts.isArrayLiteralExpression(node)) return node.elements.flatMap(literals);
  if (ts.isTemplateExpression(node))
    return [node.head, ...node.templateSpans.flatMap((span) => [...literals(span.expression), span.literal])];
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) return literals(node.body);
  if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression))
    return [
      ...literals(node.expression.expression),
      ...(node.expression.name.text === "map" ? node.arguments.flatMap(literals) : []),
    ];
  if (ts.isBinaryExpression(node)) {
    const sides: ts.SyntaxKind[] = [
      ts.SyntaxKind.BarBarToken,
      ts.SyntaxKind.QuestionQuestionToken,
      ts.SyntaxKind.PlusToken,
    ];
    return sides.includes(node.operatorToken.kind)
      ? [...literals(node.left), ...literals(node.right)]
      : node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken
        ? literals(node.right)
        : [];
  }
  return [];
}

/** Handed to t(), thrown at a programmer, a type, an import, or CSS. */
function isSilent(node: ts.Node): boolean {
  for (let above: ts.Node = node; above.parent; above = above.parent) {
    const { parent } = above;
    if (
      ts.isCallExpression(parent) &&
      ["t", "tn", "querySelector", "querySelectorAll", "closest", "matches", "matchMedia"].includes(callee(parent))
    )
      return true;
    if (ts.isNewExpression(parent) || ts.isLiteralTypeNode(parent) || ts.isImportDeclaration(parent)) return true;
    if (ts.isStatement(parent)) return false;
  }
  return false;
}

function callee({ expression }: ts.CallExpression): string {
  return ts.isIdentifier(expression)
    ? expression.text
    : ts.isPropertyAccessExpression(expression)
      ? expression.name.text
      : "";
}

function place(file: string, tree: ts.SourceFile, node: ts.Node): Found {
  const text = isText(node) ? node.text : node.getText(tree);
  return { file, line: tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1, text };
}

function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}
