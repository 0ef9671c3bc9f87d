// Converts the types of stripe-node, which Stripe generates from its OpenAPI description, to JSON:
// the parameters and the response of each v1 route, and the object of each event type.
//
//   node schema.mjs FOLDER > schema.json       (FOLDER holds node_modules with stripe and typescript)
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const FOLDER = path.resolve(process.argv[2]);
const ts = createRequire(path.join(FOLDER, 'package.json'))('typescript');
const ROOT = path.join(FOLDER, 'node_modules/stripe');
const RESOURCES = [
  'Accounts', 'Balance', 'BalanceTransactions', 'Charges', 'Checkout/Sessions', 'Coupons',
  'Customers', 'Disputes', 'Events', 'Invoices', 'Mandates', 'PaymentIntents', 'PaymentLinks',
  'PaymentMethods', 'Prices', 'Products', 'PromotionCodes', 'Radar/EarlyFraudWarnings', 'Refunds',
  'SetupAttempts', 'SetupIntents', 'ShippingRates', 'TaxRates', 'TestHelpers/Customers',
  'TestHelpers/Refunds', 'WebhookEndpoints',
];
const file = (name) => path.join(ROOT, 'esm/resources', `${name}.d.ts`);
const program = ts.createProgram([...RESOURCES.map(file), file('Events')], {
  strict: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022, lib: ['lib.es2022.d.ts'], types: [], skipLibCheck: true,
});
const checker = program.getTypeChecker();
const defs = {};
const names = new Map();

function nameOf(type) {
  if (!names.has(type)) {
    const full = checker.typeToString(type, undefined, ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseFullyQualifiedType)
      .replace(/import\("[^"]*"[^)]*\)\./g, '').replace(/\s+/g, ' ').slice(0, 120);
    let name = full;
    for (let i = 2; Object.hasOwn(defs, name); i++) name = `${full}#${i}`;
    names.set(type, name);
    defs[name] = {};
    Object.assign(defs[name], objectSchema(type));
  }
  return names.get(type);
}

function schemaOf(type) {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return {};
  if (type.flags & ts.TypeFlags.Null) return { type: 'null' };
  if (type.flags & ts.TypeFlags.StringLiteral) return { enum: [type.value] };
  if (type.flags & ts.TypeFlags.NumberLiteral) return { enum: [type.value] };
  if (type.flags & ts.TypeFlags.BooleanLiteral) return { enum: [type.intrinsicName === 'true'] };
  if (type.flags & ts.TypeFlags.String) return { type: 'string' };
  if (type.flags & ts.TypeFlags.Number) return { type: 'number' };
  if (type.flags & ts.TypeFlags.Boolean) return { type: 'boolean' };
  if (type.isUnion()) return unionSchema(type);
  if (checker.isArrayType(type)) return { type: 'array', items: schemaOf(checker.getTypeArguments(type)[0]) };
  if (type.aliasSymbol?.name === 'Decimal' || type.symbol?.name === 'Decimal') return { type: 'string', format: 'decimal' };
  if (type.isIntersection()) return intersectionSchema(type);
  return { $ref: nameOf(type) };
}

function unionSchema(type) {
  const parts = type.types.filter((each) => !(each.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.BooleanLiteral)));
  const any = [];
  const literals = parts.filter((each) => each.flags & (ts.TypeFlags.StringLiteral | ts.TypeFlags.NumberLiteral)).map((each) => each.value);
  if (literals.length) any.push({ enum: literals });
  if (type.types.some((each) => each.flags & ts.TypeFlags.BooleanLiteral)) any.push({ type: 'boolean' });
  for (const each of parts) {
    if (each.flags & (ts.TypeFlags.StringLiteral | ts.TypeFlags.NumberLiteral)) continue;
    const made = schemaOf(each);
    if (made.open && literals.length) continue; // an open enum: Stripe sends only what is listed
    any.push(made);
  }
  return any.length === 1 ? any[0] : { anyOf: any };
}

function intersectionSchema(type) {
  if (type.types.some((each) => each.flags & ts.TypeFlags.String)) return { type: 'string', open: true };
  return { $ref: nameOf(type) };
}

function objectSchema(type) {
  const properties = {};
  const required = [];
  for (const symbol of type.getProperties()) {
    if (symbol.name === 'lastResponse') continue;
    properties[symbol.name] = schemaOf(checker.getTypeOfSymbol(symbol));
    if (!(symbol.flags & ts.SymbolFlags.Optional)) required.push(symbol.name);
  }
  const index = checker.getIndexInfosOfType(type)[0];
  return { type: 'object', properties, required, additional: index ? schemaOf(index.type) : false };
}

function answerOf(type) {
  if (type.symbol?.name === 'ApiListPromise') return { list: schemaOf(checker.getTypeArguments(type)[0]) };
  if (type.symbol?.name === 'ApiSearchResultPromise') return { list: schemaOf(checker.getTypeArguments(type)[0]), search: true };
  const inner = checker.getTypeArguments(type)[0];
  return schemaOf(inner.aliasTypeArguments?.[0] ?? inner);
}

function routesOf(resource) {
  const source = program.getSourceFile(file(resource));
  const code = fs.readFileSync(file(resource).replace(/\.d\.ts$/, '.js'), 'utf8');
  const found = [];
  for (const statement of source.statements) {
    if (!ts.isClassDeclaration(statement)) continue;
    for (const member of statement.members.filter(ts.isMethodDeclaration)) {
      const name = member.name.getText();
      const request = new RegExp(`^    ${name}\\([^)]*\\) \\{\\s+return this\\._makeRequest\\('(\\w+)', ['\`]([^'\`]+)['\`]`, 'm').exec(code);
      if (!request) continue;
      const params = member.parameters.find((each) => each.name.getText() === 'params');
      found.push({
        resource, name, method: request[1], path: request[2].replace(/\$\{[^}]*\}/g, '{}'),
        params: params ? schemaOf(checker.getNonNullableType(checker.getTypeAtLocation(params))) : null,
        answer: answerOf(checker.getTypeAtLocation(member.type)),
      });
    }
  }
  return found;
}

function eventsOf() {
  const found = {};
  const source = program.getSourceFile(file('Events'));
  for (const statement of source.statements) {
    if (!ts.isInterfaceDeclaration(statement) || !/Event$/.test(statement.name.text)) continue;
    const type = checker.getTypeAtLocation(statement);
    const kind = type.getProperty('type') && checker.getTypeOfSymbol(type.getProperty('type'));
    if (!(kind && kind.flags & ts.TypeFlags.StringLiteral)) continue;
    const data = checker.getTypeOfSymbol(type.getProperty('data'));
    found[kind.value] = { event: schemaOf(type), object: schemaOf(checker.getTypeOfSymbol(data.getProperty('object'))) };
  }
  return found;
}

const version = /ApiVersion = '(.+)'/.exec(fs.readFileSync(path.join(ROOT, 'esm/apiVersion.js'), 'utf8'))[1];
const made = {
  version, openapi: fs.readFileSync(path.join(ROOT, 'OPENAPI_VERSION'), 'utf8').trim(),
  package: `stripe ${fs.readFileSync(path.join(ROOT, 'VERSION'), 'utf8').trim()}`,
  routes: RESOURCES.flatMap(routesOf), events: eventsOf(), defs,
};
process.stdout.write(JSON.stringify(made, null, 1));
